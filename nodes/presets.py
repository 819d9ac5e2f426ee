"""Settings to begin with for a model, published or measured, each with its source."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.card_presets import MEMORIES
from ..tbsd_core.guidance import METHODS, default_config
from ..tbsd_core.optim import OptimConfig
from ..tbsd_core.preset_changes import changed
from ..tbsd_core.presets import SCENES, describe, preset, with_settings
from ..tbsd_core.prompts import PromptConfig
from ..tbsd_core.tasks import NEW, TASKS
from . import sockets
from .base import Node
from .bridge.config import OF_THE_OPTIMIZER
from .bridge.family import card_memory, model_family
from .sockets import Recommended

# settings that travel with no output, or that a widget decides whatever arrives, and the node that has it
WIDGETS = {
    **{f"optim.{name}": "the Optimize node" for name in OF_THE_OPTIMIZER},
    **{f"prompt.{name}": "Prompt Encode" for name in ("prompt", "view_dependent", "ready_made")},
    "prompt.perp_neg": "Perp-Neg",
    "prompt.source": "the guidance node",
}


class RecommendedSettings(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RecommendedSettings",
            display_name="Recommended Settings",
            category=sockets.OPTIMIZE,
            description="Looks at the model and gives settings to start with, each with its source.",
            inputs=[
                io.Model.Input("model", tooltip="The model of the guidance node. Its family decides sizes and scales."),
                io.Combo.Input(
                    "method", options=list(METHODS), default="tbsd", tooltip="The method of the guidance node."
                ),
                io.Combo.Input(
                    "scene",
                    options=list(SCENES),
                    default="image",
                    tooltip="image: pixels; latent: an Image Scene with a VAE; nerf, gaussian: a scene of that name; "
                    "mesh_texture: the colours of a mesh.",
                ),
                io.Combo.Input(
                    "memory",
                    options=["auto", *map(str, MEMORIES)],
                    default="auto",
                    optional=True,
                    tooltip="GB of memory of the graphics card that the settings must fit. auto: the card of this "
                    "computer. Choose less if other programs use the card, too.",
                ),
                io.Combo.Input(
                    "task",
                    options=list(TASKS),
                    default=NEW,
                    optional=True,
                    tooltip="The purpose of the run. "
                    + "; ".join(f"{name}: {task.summary}" for name, task in TASKS.items())
                    + ".",
                ),
                io.String.Input(
                    "changes",
                    default="",
                    optional=True,
                    tooltip="Values of your own in place of the recommended ones, separated by semicolons: "
                    "optim.lr=0.005; scene.tv_weight=0.05. The names are those in the text, and of --set on the "
                    "command line.",
                ),
            ],
            outputs=[
                io.Float.Output(
                    display_name="guidance_scale",
                    tooltip="For the guidance node; 1 for a method without a guidance scale.",
                ),
                io.Float.Output(display_name="lr", tooltip="For Optimize Image and Optimize 3D."),
                io.Int.Output(display_name="steps", tooltip="For Optimize Image and Optimize 3D."),
                io.Int.Output(display_name="size", tooltip="For Image Scene and Optimize 3D: pixels of a picture."),
                io.Int.Output(
                    display_name="encode_size",
                    tooltip="For Optimize 3D: size in pixels to which views are enlarged for the model; 0 does not "
                    "enlarge them.",
                ),
                io.Float.Output(display_name="t_min", tooltip="For the Optimize nodes: minimum noise, 0 to 1."),
                io.Float.Output(display_name="t_max", tooltip="For the Optimize nodes: maximum noise at the start."),
                io.Float.Output(display_name="t_max_end", tooltip="For the Optimize nodes: maximum noise at the end."),
                io.String.Output(display_name="text", tooltip="Every value with its source."),
                sockets.TimestepsSocket.Output(
                    display_name="timesteps",
                    tooltip="For the Optimize nodes: replaces the three numbers and also says how the noise falls.",
                ),
                sockets.SettingsSocket.Output(
                    display_name="settings",
                    tooltip="All settings of the method in one, such as its balancer and its schedule. Connect "
                    "them to the guidance node, to Target Negative Prompt, and to the node of the scene.",
                ),
                sockets.CamerasSocket.Output(
                    display_name="cameras",
                    tooltip="For Optimize 3D: cameras that suit this model and scene.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model, method: str, scene: str, memory: str = "auto", task: str = NEW, changes: str = ""
    ) -> io.NodeOutput:
        family, note = model_family(model)
        card = card_memory(model) if memory == "auto" else int(memory)
        found = changed(preset(family, scene, method, card, task), groups_of(method, scene), changes, WIDGETS)
        optim = with_settings(OptimConfig(), "optim", found)
        guidance = with_settings(default_config(method), "guidance", found)
        times = optim.timesteps
        return io.NodeOutput(
            getattr(guidance, "guidance_scale", 1.0),
            optim.lr,
            optim.n_steps,
            optim.size,
            optim.encode_size or 0,
            times.t_min,
            times.t_max,
            times.t_max_end,
            "\n".join(filter(None, (note, describe(family, scene, method, card, task, found)))),
            times,
            Recommended(method, found, scene),
            with_settings(CameraConfig(), "cameras", found),
        )


def groups_of(method: str, scene: str) -> dict[str, Any]:
    """The configurations that the outputs carry values to."""
    groups = {"guidance": default_config(method), "optim": OptimConfig(), "prompt": PromptConfig(prompt="any")}
    if SCENES[scene].uses_cameras:  # the nodes of pictures have no settings input
        groups |= {"scene": SCENES[scene].config(), "cameras": CameraConfig()}
    return groups


NODES = [RecommendedSettings]
