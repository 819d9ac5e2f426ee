"""A guidance node, made of the specification of its method."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ...tbsd_core.guidance import MethodSpec
from ...tbsd_core.presets import with_settings
from ...tbsd_core.scenes import Scene
from .. import sockets
from ..base import Node
from ..bridge.control import ViewControl, check_belongs
from ..bridge.distillable import check_models
from ..bridge.prompts import Prompts, check_conditions, with_source
from ..bridge.zero123 import check_pictures
from ..sockets import GuidedModel, Recommended
from ..widgets import widgets, with_widgets


class GuidanceNode(Node):
    """The common part of all guidance nodes; `spec` says which method."""

    spec: ClassVar[MethodSpec]

    @classmethod
    def define_schema(cls) -> io.Schema:
        spec = cls.spec
        return io.Schema(
            node_id=spec.node,
            display_name=f"{spec.label} Guidance",
            category=sockets.GUIDANCE,
            description=spec.description,
            inputs=[
                io.Model.Input(
                    "model", tooltip="The diffusion model that judges the pictures. LoRAs and patches apply."
                ),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                sockets.PromptsSocket.Input("prompts", tooltip=spec.prompts),
                *source_prompt_inputs(spec),
                *widgets(spec.config()),
                sockets.SettingsSocket.Input(
                    "settings",
                    optional=True,
                    tooltip="From Recommended Settings for this method: its whole configuration. The widgets of "
                    "this node are then ignored.",
                ),
                sockets.ControlSocket.Input(
                    "control",
                    optional=True,
                    tooltip="From View ControlNet, for 3D scenes and meshes: the model sees the geometry of each view "
                    "and paints onto it.",
                ),
                *source_inputs(spec),
            ],
            outputs=[
                sockets.GuidanceSocket.Output(
                    display_name="guidance", tooltip="Connect to Optimize 3D or Optimize Image."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        prompts: Prompts,
        settings: Recommended | None = None,
        control: ViewControl | None = None,
        source_prompt: str = "",
        source: Scene | None = None,
        **values: float | int | str,
    ) -> io.NodeOutput:
        spec = cls.spec
        if settings is None:
            config = with_widgets(spec.config(), values)
        else:
            settings.check_method(spec.name)
            config = with_settings(spec.config(), "guidance", settings.preset)
        method = spec.method(config)
        check_pictures(model, prompts.conditions())
        if spec.edits:
            prompts = with_source(prompts, source_prompt)
        check_conditions(prompts, method)  # missing conditions are reported before the optimisation
        if control is not None:
            check_models(model, vae)
            check_belongs(control, model)
        return io.NodeOutput(GuidedModel(model, vae, prompts, method, settings and settings.preset, control, source))


def source_prompt_inputs(spec: MethodSpec) -> list[io.Input]:
    """Of a method that edits."""
    text = io.String.Input(
        "source_prompt",
        default="",
        multiline=True,
        tooltip="The scene before the edit, in the words of the prompt: a photo of a brick house. Leave it empty "
        "if the prompt only says what changes.",
    )
    return [text] if spec.edits else []


def source_inputs(spec: MethodSpec) -> list[io.Input]:
    """Of a method that edits."""
    scene = sockets.SceneSocket.Input(
        "source",
        optional=True,
        tooltip="The scene that the edit is compared with, if it is not the one that the run starts from. To "
        "continue an edit, connect the original here.",
    )
    return [scene] if spec.edits else []


def guidance_node(spec: MethodSpec) -> type[GuidanceNode]:
    """The node of a method."""
    return type(f"{spec.label.replace('-', '')}Guidance", (GuidanceNode,), {"spec": spec, "__doc__": spec.summary})
