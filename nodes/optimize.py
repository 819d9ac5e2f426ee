"""The nodes that do the work: a scene goes in, an optimised scene comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.guidance import TimestepConfig
from ..tbsd_core.optim import OptimConfig
from ..tbsd_core.scenes import Scene
from . import sockets
from .base import Node
from .bridge.autograd import optimization_mode
from .bridge.config import config_of
from .bridge.preview import check_packages, run_ui
from .bridge.queued import queued_by
from .bridge.regions import with_region
from .bridge.run import RunResult, run
from .bridge.scenes import continued, with_own_seeds
from .sockets import GuidedModel
from .widgets import widgets, with_widgets


def resume_input() -> io.Boolean.Input:
    return io.Boolean.Input(
        "resume",
        default=False,
        optional=True,
        tooltip="On: resume the run that the scene comes from (Load Scene or another Optimize node), at its step, "
        "with its momentum and schedule. steps then counts the whole run. Off: the scene is the start of a new "
        "run.",
    )


def continue_input() -> io.String.Input:
    """Without a widget: the panel fills it in for one queued graph."""
    return io.String.Input(
        "continue_run",
        optional=True,
        force_input=True,
        tooltip="The id of a run in output/tbsd/runs to continue, as Continue in the panel does. Its scene "
        "replaces the connected one. Nothing connected: a new run.",
    )


def timestep_inputs() -> list[io.Input]:
    """Sockets without widgets: connect Recommended Settings, or a number."""

    def part(name: str, tooltip: str) -> io.Float.Input:
        return io.Float.Input(name, optional=True, min=0.0, max=1.0, step=0.01, force_input=True, tooltip=tooltip)

    return [
        part(
            "t_min", "Minimum noise on the pictures, as a fraction of the model's range. 0.02 if nothing is connected."
        ),
        part("t_max", "Maximum noise at the start. 0.98 if nothing is connected."),
        part("t_max_end", "Maximum noise at the end: late steps refine. 0.5 if nothing is connected."),
    ]


def timesteps_input() -> io.Input:
    return sockets.TimestepsSocket.Input(
        "timesteps",
        optional=True,
        tooltip="All noise levels in one, from a Timesteps node or Recommended Settings. The single numbers take "
        "precedence.",
    )


def encode_size_input(what: str) -> io.Int.Input:
    return io.Int.Input(
        "encode_size",
        optional=True,
        min=0,
        max=2048,
        step=8,
        force_input=True,
        tooltip=f"Size in pixels to which the {what} are enlarged for the model. If nothing or 0 is connected, "
        f"smaller {what} are enlarged to the size that the model was trained at: 512 for Stable Diffusion 1.5.",
    )


def region_input() -> io.Input:
    return sockets.RegionSocket.Input(
        "region",
        optional=True,
        tooltip="The part of the scene that the run may change, from a Region node. Everything else stays as it "
        "is, to the bit. Nothing connected: the whole scene, or the region of the run that the scene comes from.",
    )


TIMESTEPS = ("timesteps", "t_min", "t_max", "t_max_end")


def optim_of(inputs: dict[str, Any], scene: Scene, guidance: GuidedModel) -> OptimConfig:
    """The settings from a node's widgets and sockets; a picture has its own size and number of views."""
    start = OptimConfig(timesteps=inputs.get("timesteps") or TimestepConfig())
    optim = with_widgets(start, {name: value for name, value in inputs.items() if value is not None})
    if scene.uses_cameras:
        return optim
    return replace(optim, size=picture_size(scene, guidance), views_per_step=scene.n_images)


def has_timesteps(inputs: dict[str, Any]) -> bool:
    """Whether any of the sockets for timesteps is connected: they then win over the guidance's settings."""
    return any(inputs.get(name) is not None for name in TIMESTEPS)


def picture_size(scene: Scene, guidance: GuidedModel) -> int:
    """Pixels along a side of the pictures of an image scene; a latent scene counts in latent cells."""
    is_latent = hasattr(scene.config, "channels")
    return scene.config.size * (guidance.vae.spacial_compression_encode() if is_latent else 1)


def run_node(
    node: type[io.ComfyNode],
    guidance: GuidedModel,
    scene: Scene,
    cameras: CameraConfig | None,
    resume: bool,
    inputs: dict[str, Any],
) -> RunResult:
    """The run of an optimizer node."""
    check_packages()
    if inputs.get("continue_run"):
        with optimization_mode():
            scene, resume = continued(inputs["continue_run"], scene), True
    region = inputs.pop("region", None)
    scene = with_region(scene, region, resume)
    optim = optim_of(inputs, scene, guidance)
    config = config_of(guidance, scene, cameras or CameraConfig(), optim, has_timesteps(inputs))
    if inputs.get("continue_run"):
        config = with_own_seeds(config, scene)
    return run(guidance, scene, config, queued_by(node), resume)


class Optimizer3D(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Optimizer3D",
            display_name="Optimize 3D",
            category=sockets.OPTIMIZE,
            description="Optimises a 3D scene until the model approves of its views from all around.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input("guidance", tooltip="A guidance node: the method and its models."),
                sockets.SceneSocket.Input(
                    "scene",
                    tooltip="The start: a NeRF Scene, Gaussian Scene or Mesh Texture Scene, or an optimised scene.",
                ),
                *widgets(OptimConfig(), ("steps", "views_per_step", "size", "lr")),
                sockets.seed_input("Decides cameras, noise and timesteps. The same seed gives the same object."),
                sockets.CamerasSocket.Input(
                    "cameras", optional=True, tooltip="Where the cameras stand; all around if nothing is connected."
                ),
                *timestep_inputs(),
                encode_size_input("views"),
                timesteps_input(),
                *widgets(OptimConfig(), ("start_size", "latent_until")),
                resume_input(),
                continue_input(),
                region_input(),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="The optimised object."),
                io.Image.Output(display_name="views", tooltip="Views on one turn around it, from the front."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(
        cls, guidance: GuidedModel, scene: Scene, cameras: CameraConfig | None = None, resume=False, **inputs: Any
    ) -> io.NodeOutput:
        if not scene.uses_cameras:
            raise ValueError(
                "Optimize 3D needs a 3D scene such as NeRF Scene or Gaussian Scene. Use Optimize Image for a picture."
            )
        result = run_node(cls, guidance, scene, cameras, resume, inputs)
        return io.NodeOutput(result.scene, result.images, ui=run_ui(result, cls))


class OptimizeImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_OptimizeImage",
            display_name="Optimize Image",
            category=sockets.OPTIMIZE,
            description="Optimises a picture until the model approves of it: a quick look at what a method does.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input("guidance", tooltip="A guidance node: the method and its models."),
                sockets.SceneSocket.Input("scene", tooltip="An Image Scene, or an optimised one."),
                *widgets(OptimConfig(), ("steps", "lr")),
                sockets.seed_input("Decides noise and timesteps. The same seed gives the same picture."),
                *timestep_inputs(),
                timesteps_input(),
                *widgets(OptimConfig(), ("reuse_steps",)),
                resume_input(),
                continue_input(),
                encode_size_input("pictures"),
                region_input(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The optimised pictures."),
                sockets.SceneSocket.Output(display_name="scene", tooltip="The optimised scene, to continue with."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(cls, guidance: GuidedModel, scene: Scene, resume=False, **inputs: Any) -> io.NodeOutput:
        if scene.uses_cameras:
            raise ValueError("Optimize Image needs an Image Scene. Use Optimize 3D for an object.")
        if guidance.control is not None:
            raise ValueError(
                "A picture has no geometry, but View ControlNet is connected to the guidance of this node. "
                "Disconnect it there, or use Optimize 3D."
            )
        result = run_node(cls, guidance, scene, None, resume, inputs)
        return io.NodeOutput(result.images, result.scene, ui=run_ui(result, cls))


NODES = [Optimizer3D, OptimizeImage]
