"""The demo model as ComfyUI models, and meshes of the objects it knows."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.priors.small_world.materials import MATERIALS
from ..tbsd_core.priors.small_world.shapes import SHAPES
from ..tbsd_core.sample_meshes import sample_mesh
from ..tbsd_core.sample_textures import FAULTS, textured_sample
from . import sockets
from .base import Node
from .bridge.demo import DEMO_PRIORS, load_demo_models
from .bridge.interop.mesh import to_mesh

GREY = "grey"


class DemoModels(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_DemoModels",
            display_name="Demo Models (no download)",
            category=sockets.DEMO,
            description=(
                "A tiny text-to-image model of 64 x 64 pixels that ships with this pack and runs on any computer. "
                f"Objects: {', '.join(SHAPES)}. Materials: {', '.join(MATERIALS)}. For free text and real images, "
                "use Load Checkpoint instead."
            ),
            inputs=[
                io.Combo.Input(
                    "prior",
                    options=list(DEMO_PRIORS),
                    default=DEMO_PRIORS[0],
                    optional=True,
                    tooltip="learned: a model of single pictures. multiview: a model that sees four views of an object "
                    "together and knows their cameras, for 3D scenes. Fewer objects have two faces or are turned. "
                    "views_per_step must be a multiple of 4.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    tooltip="The denoiser. For an image of 64 pixels, set Empty Latent Image to 128 x 128."
                ),
                io.Clip.Output(
                    tooltip="The text encoder. A word outside its vocabulary raises an error that lists the vocabulary."
                ),
                io.Vae.Output(tooltip="The autoencoder: 4 pixels per latent cell."),
            ],
        )

    @classmethod
    def execute(cls, prior: str = DEMO_PRIORS[0]) -> io.NodeOutput:
        return io.NodeOutput(*load_demo_models(prior=prior))


class SampleMesh(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SampleMesh",
            display_name="Sample Mesh",
            category=sockets.DEMO,
            description="A mesh for trying out Mesh Texture Scene: one of the objects that the demo models know.",
            inputs=[
                io.Combo.Input("shape", options=list(SHAPES), default="house", tooltip="The object."),
                io.Int.Input(
                    "resolution",
                    default=64,
                    min=16,
                    max=256,
                    step=8,
                    tooltip="Grid points along each side: 64 gives about 15,000 triangles, 96 twice as many.",
                ),
                io.Combo.Input(
                    "material",
                    options=[GREY, *MATERIALS],
                    default=GREY,
                    optional=True,
                    tooltip="Its texture. grey: no texture. A material: its true colours, to edit or to repair.",
                ),
                io.Combo.Input(
                    "fault",
                    options=list(FAULTS),
                    default=next(iter(FAULTS)),
                    optional=True,
                    tooltip="A fault of the texture, for trying out repairs. front only: grey wherever the front "
                    "view does not reach; blurry: no fine detail.",
                ),
            ],
            outputs=[io.Mesh.Output(display_name="mesh", tooltip="Connect to Mesh Texture Scene or Save Mesh.")],
        )

    @classmethod
    def execute(cls, shape: str, resolution: int, material: str = GREY, fault: str = "none") -> io.NodeOutput:
        if material == GREY:
            return io.NodeOutput(to_mesh(sample_mesh(shape, resolution)))
        return io.NodeOutput(to_mesh(textured_sample(shape, material, fault, resolution)))


NODES = [DemoModels, SampleMesh]
