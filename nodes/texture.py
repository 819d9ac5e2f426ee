"""Painting a mesh that is there already."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.mesh.load import FORMATS
from ..tbsd_core.mesh.paint import UP_AXES, PlacementConfig
from ..tbsd_core.scenes import ENCODINGS, MeshTextureConfig
from ..tbsd_core.scenes.mesh_texture import SHADINGS
from . import sockets
from .base import Node, problem
from .bridge.files import existing_output
from .bridge.texture import given_mesh, scene_of_mesh
from .sockets import default


class MeshTextureSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_MeshTextureScene",
            display_name="Mesh Texture Scene",
            category=sockets.SCENE,
            description="A mesh to paint: its shape stays, its colours are optimised. Connect a MESH or name a file.",
            inputs=[
                io.String.Input(
                    "mesh_file",
                    default="",
                    tooltip=f"A mesh file ({', '.join(FORMATS)}) inside ComfyUI's input or output folder. Empty "
                    "if a mesh is connected.",
                ),
                io.Combo.Input(
                    "up",
                    options=list(UP_AXES),
                    default=default(PlacementConfig, "up"),
                    tooltip="The mesh's own upward axis: y for GLB files, often z for STL and scans.",
                ),
                io.Float.Input(
                    "turn",
                    default=default(PlacementConfig, "turn"),
                    min=-360.0,
                    max=360.0,
                    step=15.0,
                    tooltip="Degrees to turn it, counter-clockwise from above, until its front faces the camera: look "
                    "at the first picture of Render Views.",
                ),
                io.Int.Input(
                    "detail",
                    default=default(MeshTextureConfig, "resolutions")[-1],
                    min=17,
                    max=512,
                    tooltip="Colour cells along each side of the finest level. 97 suits 64-pixel pictures; 256 and "
                    "more for Stable Diffusion.",
                ),
                io.Combo.Input(
                    "shading",
                    options=list(SHADINGS),
                    default=default(MeshTextureConfig, "shading"),
                    tooltip="soft: the model sees it lit, and the texture stays free of shadows. none: light and "
                    "shadow are painted into the texture.",
                ),
                io.Boolean.Input(
                    "keep_colors",
                    default=False,
                    tooltip="Start from the colours that the mesh has instead of grey.",
                ),
                sockets.seed_input("The values that the colours start from."),
                io.Mesh.Input("mesh", optional=True, tooltip="A mesh of another node, such as Hunyuan 3D's."),
                io.Combo.Input(
                    "encoding",
                    options=list(ENCODINGS),
                    default=default(MeshTextureConfig, "encoding"),
                    optional=True,
                    tooltip="How the colours are stored. Dense grids are the fastest on a CPU; planes and hash grids "
                    "hold finer detail in less memory.",
                ),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize 3D, then Extract Mesh.")
            ],
        )

    @classmethod
    def validate_inputs(cls, mesh_file: str) -> bool | str:
        return problem(cls, lambda mesh_file: mesh_file.strip() and existing_output(mesh_file), mesh_file=mesh_file)

    @classmethod
    def fingerprint_inputs(cls, mesh_file: str, **inputs) -> tuple:
        """A file that has changed is read again."""
        changed = existing_output(mesh_file).stat().st_mtime if (mesh_file or "").strip() else 0.0
        return (changed, *sorted((k, v) for k, v in inputs.items() if isinstance(v, (str, int, float))))

    @classmethod
    def execute(
        cls, mesh_file, up, turn, detail, shading, keep_colors, seed, mesh=None, encoding="dense"
    ) -> io.NodeOutput:
        coarse = [r for r in default(MeshTextureConfig, "resolutions")[:-1] if r < detail]
        config = MeshTextureConfig(
            encoding=encoding, resolutions=(*coarse, detail), shading=shading, seed=seed
        )
        given, notes = given_mesh(mesh, mesh_file)
        scene = scene_of_mesh(given, config, PlacementConfig(up=up, turn=turn), keep_colors)
        return io.NodeOutput(scene, ui={"text": ["\n".join([f"{len(given.faces):,} triangles", *notes])]})
