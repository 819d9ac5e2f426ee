"""The nodes that do the work: a scene goes in, an optimised scene comes out."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.guidance import TimestepConfig
from ..tbsd_core.optim import OptimConfig
from . import sockets
from .base import Node
from .bridge.config import config_of
from .bridge.preview import check_packages, run_ui
from .bridge.run import run
from .bridge.runs import workflow_of
from .sockets import GuidedModel, default


def steps_input() -> io.Int.Input:
    return io.Int.Input(
        "steps",
        default=default(OptimConfig, "n_steps"),
        min=1,
        max=100_000,
        tooltip="Optimisation steps. More is better and slower; the demo models need about 300.",
    )


def lr_input() -> io.Float.Input:
    return io.Float.Input(
        "lr",
        default=default(OptimConfig, "lr"),
        min=0.00001,
        max=1.0,
        step=0.001,
        round=False,
        tooltip="Learning rate: how far each step goes. Halve it if the result flickers or burns out. With settings "
        "connected to the guidance node, theirs counts.",
    )


def resume_input() -> io.Boolean.Input:
    return io.Boolean.Input(
        "resume",
        default=False,
        optional=True,
        tooltip="Go on with the run that the scene comes from, by Load Scene or from another optimizer: its step, its "
        "momentum and its schedule. steps is then the whole run. Off: the scene is the start of a new run.",
    )


def timestep_inputs() -> list[io.Input]:
    """Sockets without widgets: connect Recommended Settings, or a number."""

    def part(name: str, tooltip: str) -> io.Float.Input:
        return io.Float.Input(name, optional=True, min=0.0, max=1.0, step=0.01, force_input=True, tooltip=tooltip)

    return [
        part("t_min", "Least noise on the pictures, as a part of the model's range. 0.02 if nothing is connected."),
        part("t_max", "Most noise at the start. 0.98 if nothing is connected."),
        part("t_max_end", "Most noise at the end: late steps refine. 0.5 if nothing is connected."),
    ]


def timesteps_input() -> io.Input:
    return sockets.TimestepsSocket.Input(
        "timesteps",
        optional=True,
        tooltip="All of that from a Timesteps node or Recommended Settings; the single numbers take precedence.",
    )


def with_numbers(timesteps: TimestepConfig | None, **values: float | None) -> TimestepConfig:
    """Timesteps with those of the single numbers that are connected."""
    connected = {name: value for name, value in values.items() if value is not None}
    return replace(timesteps or TimestepConfig(), **connected)


def is_given(*inputs: TimestepConfig | float | None) -> bool:
    """Whether any of the sockets for timesteps is connected: they then count more than the guidance's settings."""
    return any(value is not None for value in inputs)


def picture_size(scene, guidance: GuidedModel) -> int:
    """Pixels along a side of the pictures of an image scene; a latent scene counts in latent cells."""
    is_latent = hasattr(scene.config, "channels")
    return scene.config.size * (guidance.vae.spacial_compression_encode() if is_latent else 1)


class Optimizer3D(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Optimizer3D",
            display_name="Optimize 3D",
            category=sockets.OPTIMIZE,
            description="Changes a 3D scene until the model approves of its pictures from all around.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input("guidance", tooltip="A guidance node: the method with its models."),
                sockets.SceneSocket.Input(
                    "scene", tooltip="Where to start: a NeRF Scene, a Gaussian Scene, or an optimised one."
                ),
                steps_input(),
                io.Int.Input(
                    "views_per_step",
                    default=default(OptimConfig, "views_per_step"),
                    min=1,
                    max=64,
                    tooltip="Pictures per step. More views: calmer, less flicker, slower, more memory.",
                ),
                io.Int.Input(
                    "size",
                    default=default(OptimConfig, "size"),
                    min=16,
                    max=1024,
                    step=8,
                    tooltip="Width and height of a rendered picture. 64 for the demo models; 256 to 512 for Stable "
                    "Diffusion 1.5.",
                ),
                lr_input(),
                sockets.seed_input("Decides cameras, noise and timesteps. The same seed gives the same object."),
                sockets.CamerasSocket.Input(
                    "cameras", optional=True, tooltip="Where the cameras stand; all around if nothing is connected."
                ),
                *timestep_inputs(),
                io.Int.Input(
                    "encode_size",
                    optional=True,
                    min=0,
                    max=2048,
                    step=8,
                    force_input=True,
                    tooltip="Pixels to which the views are enlarged for the model: 512 for Stable Diffusion 1.5. Views "
                    "stay as they are if nothing or 0 is connected.",
                ),
                timesteps_input(),
                io.Int.Input(
                    "start_size",
                    default=0,
                    min=0,
                    max=1024,
                    step=8,
                    optional=True,
                    tooltip="Begin with pictures of this many pixels, doubled until halfway they have their size: "
                    "faster at first. 0 begins with size.",
                ),
                io.Float.Input(
                    "latent_until",
                    default=default(OptimConfig, "latent_until"),
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Part of the run that renders coarse latents without the VAE: faster steps while the shape "
                    "is found. Try 0.5; 0 uses the VAE in every step.",
                ),
                resume_input(),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="The optimised object."),
                io.Image.Output(display_name="views", tooltip="Pictures of it on one turn, from the front."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(
        cls,
        guidance: GuidedModel,
        scene,
        steps,
        views_per_step,
        size,
        lr,
        seed,
        cameras=None,
        t_min=None,
        t_max=None,
        t_max_end=None,
        encode_size=None,
        timesteps=None,
        start_size=0,
        latent_until=0.0,
        resume=False,
    ) -> io.NodeOutput:
        if not scene.uses_cameras:
            raise ValueError(
                "Optimize 3D needs a 3D scene such as NeRF Scene or Gaussian Scene. Use Optimize Image for a picture."
            )
        check_packages()
        config = OptimConfig(
            n_steps=steps,
            views_per_step=views_per_step,
            size=size,
            encode_size=encode_size or None,
            start_size=start_size or None,
            latent_until=latent_until,
            lr=lr,
            seed=seed,
            timesteps=with_numbers(timesteps, t_min=t_min, t_max=t_max, t_max_end=t_max_end),
        )
        workflow = workflow_of(cls.hidden.extra_pnginfo)
        own = is_given(timesteps, t_min, t_max, t_max_end)
        whole = config_of(guidance, scene, cameras or CameraConfig(), config, own)
        result = run(guidance, scene, whole, cls.hidden.unique_id, workflow, resume)
        return io.NodeOutput(result.scene, result.images, ui=run_ui(result, cls))


class OptimizeImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_OptimizeImage",
            display_name="Optimize Image",
            category=sockets.OPTIMIZE,
            description="Changes a picture until the model approves of it: a quick look at what a method does.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input("guidance", tooltip="A guidance node: the method with its models."),
                sockets.SceneSocket.Input("scene", tooltip="An Image Scene, or one that was optimised before."),
                steps_input(),
                lr_input(),
                sockets.seed_input("Decides noise and timesteps. The same seed gives the same picture."),
                *timestep_inputs(),
                timesteps_input(),
                io.Int.Input(
                    "reuse_steps",
                    default=default(OptimConfig, "reuse_steps"),
                    min=1,
                    max=16,
                    optional=True,
                    tooltip="An approximation that saves time: keep the noise for so many steps and ask the model "
                    "about the negatives only in the first of them. 1 is exact; 2 is a fifth faster, slightly worse.",
                ),
                resume_input(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The optimised pictures."),
                sockets.SceneSocket.Output(display_name="scene", tooltip="The optimised scene, to go on with."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(
        cls,
        guidance: GuidedModel,
        scene,
        steps,
        lr,
        seed,
        t_min=None,
        t_max=None,
        t_max_end=None,
        timesteps=None,
        reuse_steps=1,
        resume=False,
    ) -> io.NodeOutput:
        if scene.uses_cameras:
            raise ValueError("Optimize Image needs an Image Scene. Use Optimize 3D for an object.")
        check_packages()
        config = OptimConfig(
            n_steps=steps,
            views_per_step=scene.n_images,
            size=picture_size(scene, guidance),
            lr=lr,
            reuse_steps=reuse_steps,
            seed=seed,
            timesteps=with_numbers(timesteps, t_min=t_min, t_max=t_max, t_max_end=t_max_end),
        )
        workflow = workflow_of(cls.hidden.extra_pnginfo)
        whole = config_of(guidance, scene, CameraConfig(), config, is_given(timesteps, t_min, t_max, t_max_end))
        result = run(guidance, scene, whole, cls.hidden.unique_id, workflow, resume)
        return io.NodeOutput(result.images, result.scene, ui=run_ui(result, cls))


NODES = [Optimizer3D, OptimizeImage]
