"""The scenes: a picture or an object to optimise."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ..tbsd_core.presets import with_settings
from ..tbsd_core.scenes import SCENES, Given, ImageConfig, SceneSpec
from . import sockets
from .base import Node
from .bridge.autograd import optimization_mode
from .bridge.interop.pictures import picture_scene
from .gaussian import GaussianSceneNode
from .sockets import Recommended
from .texture import MeshTextureSceneNode
from .widgets import widgets, with_widgets


class ImageSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ImageScene",
            display_name="Image Scene",
            category=sockets.SCENE,
            description="A picture to optimise. It starts from grey noise or from a picture of yours. Connect a "
            "VAE to optimise in its latent space.",
            inputs=[
                *widgets(ImageConfig()),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Connect it to optimise latents instead of pixels: faster, and no gradient goes "
                    "through the VAE. Use the VAE of the guidance node.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="Pictures to start from instead of noise; all pictures of the batch are used. They are "
                    "cropped to a square of size pixels.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The guidance node's model. Needed only if both image and vae are connected.",
                ),
            ],
            outputs=[sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize Image.")],
        )

    @classmethod
    def execute(cls, size: int, n_images: int, seed: int, vae=None, image=None, model=None) -> io.NodeOutput:
        spec, channels, factor = SCENES["image"], 3, 1
        if vae is not None:
            spec, channels, factor = SCENES["latent"], vae.latent_channels, vae.spacial_compression_encode()
        given = Given(size=size, latent_channels=channels, spatial_factor=factor)
        config = spec.fit(spec.config(n_images=n_images, seed=seed), given)
        if image is not None:
            return io.NodeOutput(picture_scene(image, config, size, vae, model))
        with optimization_mode():
            return io.NodeOutput(spec.scene(config))


class SceneNode(Node):
    """Makes a scene of its settings, each of which is a widget."""

    spec: ClassVar[SceneSpec]

    @classmethod
    def define_schema(cls) -> io.Schema:
        use = "Connect to Optimize 3D or Render Views." if cls.spec.uses_cameras else "Connect to Optimize Image."
        return io.Schema(
            node_id=cls.spec.node,
            display_name=f"{cls.spec.label} Scene",
            category=sockets.SCENE,
            description=cls.spec.description,
            inputs=[*widgets(cls.spec.config()), sockets.scene_settings_input()],
            outputs=[sockets.SceneSocket.Output(display_name="scene", tooltip=use)],
        )

    @classmethod
    def execute(cls, settings: Recommended | None = None, **values) -> io.NodeOutput:
        config = with_widgets(cls.spec.config(), values)
        if settings is not None:
            settings.check_scene(cls.spec.name)
            config = with_settings(config, "scene", settings.preset)
        with optimization_mode():
            return io.NodeOutput(cls.spec.scene(config))


def scene_node(spec: SceneSpec) -> type[Node]:
    """The node of a scene whose specification has a description."""
    return type(f"{spec.label}SceneNode", (SceneNode,), {"spec": spec})


WRITTEN: dict[str, type[Node]] = {
    "image": ImageSceneNode,
    "mesh_texture": MeshTextureSceneNode,
    "gaussian": GaussianSceneNode,
}
NODES = [
    WRITTEN.get(name) or scene_node(spec) for name, spec in SCENES.items() if name in WRITTEN or spec.description
]
