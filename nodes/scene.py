"""What is optimised: a picture or an object."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.renderer.background import BACKGROUNDS
from ..tbsd_core.scenes import (
    ENCODINGS,
    ImageConfig,
    ImageScene,
    LatentImageConfig,
    LatentImageScene,
    NeRFConfig,
    NeRFScene,
)
from . import sockets
from .base import Node
from .bridge.autograd import optimization_mode
from .sockets import default


class ImageSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ImageScene",
            display_name="Image Scene",
            category=sockets.SCENE,
            description="A picture to optimise, grey noise at first. Connect a VAE to optimise in its latent space.",
            inputs=[
                io.Int.Input(
                    "size",
                    default=default(ImageConfig, "size"),
                    min=16,
                    max=2048,
                    step=8,
                    tooltip="Width and height in pixels. 64 for the demo models, 512 for Stable Diffusion 1.5.",
                ),
                io.Int.Input(
                    "n_images",
                    default=default(ImageConfig, "n_images"),
                    min=1,
                    max=16,
                    tooltip="How many independent pictures to optimise side by side.",
                ),
                sockets.seed_input("The noise that the pictures start from."),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Connect it to optimise latents instead of pixels: faster, and no gradient goes through "
                    "the VAE. It must be the VAE of the guidance.",
                ),
            ],
            outputs=[sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize Image.")],
        )

    @classmethod
    def execute(cls, size: int, n_images: int, seed: int, vae=None) -> io.NodeOutput:
        with optimization_mode():
            if vae is None:
                return io.NodeOutput(ImageScene(ImageConfig(size=size, n_images=n_images, seed=seed)))
            factor = vae.spacial_compression_encode()
            config = LatentImageConfig(
                size=size // factor, n_images=n_images, channels=vae.latent_channels, seed=seed
            )
            return io.NodeOutput(LatentImageScene(config))


def weight_input(name: str, tooltip: str) -> io.Float.Input:
    """An optional widget for a setting of NeRFConfig in [0, 1]."""
    value = default(NeRFConfig, name)
    return io.Float.Input(
        name, default=value, min=0.0, max=1.0, step=0.001, round=False, optional=True, tooltip=tooltip
    )


class NeRFSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_NeRFScene",
            display_name="NeRF Scene",
            category=sockets.SCENE,
            description="A 3D object to optimise, a grey ball at first. The defaults suit 64-pixel renders on a CPU.",
            inputs=[
                io.Combo.Input(
                    "encoding",
                    options=list(ENCODINGS),
                    default=default(NeRFConfig, "encoding"),
                    tooltip="How the volume is stored. Dense grids are the fastest on a CPU; planes and hash grids "
                    "hold finer detail in less memory.",
                ),
                io.Int.Input(
                    "detail",
                    default=default(NeRFConfig, "resolutions")[-1],
                    min=9,
                    max=513,
                    tooltip="Grid points along each side of the finest level. More is sharper, slower and noisier.",
                ),
                io.Int.Input(
                    "n_samples",
                    default=default(NeRFConfig, "n_samples"),
                    min=8,
                    max=512,
                    tooltip="Samples along each ray across the object. Use about as many as the grid has points.",
                ),
                io.Float.Input(
                    "opacity_weight",
                    default=default(NeRFConfig, "opacity_weight"),
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=False,
                    tooltip="Pushes against fog around the object. Raise it if the background is smoky, lower it if "
                    "the object vanishes.",
                ),
                io.Float.Input(
                    "tv_weight",
                    default=default(NeRFConfig, "tv_weight"),
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=False,
                    tooltip="Smooths the surface. Raise it against grainy colours.",
                ),
                sockets.seed_input("The values that the volume starts from."),
                io.Combo.Input(
                    "background_mode",
                    options=list(BACKGROUNDS),
                    default=default(NeRFConfig, "background_mode"),
                    optional=True,
                    tooltip="solid: the grey of the demo models. random: another colour in half of the views, so that "
                    "the object cannot hide in it. learned: an environment that is optimised, too.",
                ),
                weight_input(
                    "shaded",
                    "Part of the steps that light the object from a random side, so that colour cannot pass for shape. "
                    "0 for the demo models, 0.5 or more for Stable Diffusion.",
                ),
                weight_input("sparsity_weight", "Pushes against thin fog, harder than opacity_weight does."),
                weight_input("orientation_weight", "Pushes against surfaces that turn away from the camera."),
                weight_input("z_variance_weight", "Pushes against thick, cloudy surfaces."),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize 3D or Render Views.")
            ],
        )

    @classmethod
    def execute(
        cls, encoding: str, detail: int, n_samples: int, opacity_weight: float, tv_weight: float, seed: int, **options
    ) -> io.NodeOutput:
        coarse = [r for r in default(NeRFConfig, "resolutions")[:-1] if r < detail]
        config = NeRFConfig(
            encoding=encoding,
            resolutions=(*coarse, detail),
            n_samples=n_samples,
            opacity_weight=opacity_weight,
            tv_weight=tv_weight,
            seed=seed,
            **options,
        )
        with optimization_mode():
            return io.NodeOutput(NeRFScene(config))
