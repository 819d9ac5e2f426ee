"""From a scene to files, and back."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.mesh import WRITERS, ExportConfig, MeshConfig, write_mesh
from . import sockets
from .base import Node, problem
from .bridge.autograd import optimization_mode
from .bridge.files import existing_output, inside_output, new_output, ui_file
from .bridge.mesh import extract, from_mesh
from .bridge.scenes import load_with_run, run_of, save_with_run
from .sockets import default


class ExtractMesh(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ExtractMesh",
            display_name="Extract Mesh",
            category=sockets.OUTPUT,
            description="Cuts the surface out of a 3D scene, as a mesh with a texture.",
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="An optimised 3D scene."),
                io.Int.Input(
                    "resolution",
                    default=default(MeshConfig, "resolution"),
                    min=16,
                    max=512,
                    step=8,
                    tooltip="Grid points along each side. More gives more triangles, not more detail than was learned.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.1,
                    tooltip="Density at which the surface lies. 0 chooses it; lower is thicker, higher is thinner.",
                ),
                io.Float.Input(
                    "keep_fraction",
                    default=default(MeshConfig, "keep_fraction"),
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Loose pieces smaller than this part of the largest one are dropped; 0 keeps all.",
                ),
                io.Int.Input(
                    "faces",
                    default=default(ExportConfig, "faces"),
                    min=0,
                    max=1000000,
                    step=100,
                    optional=True,
                    tooltip="Triangles at most; the mesh is simplified to it. 0 keeps all that were cut.",
                ),
                io.Int.Input(
                    "texture_size",
                    default=default(ExportConfig, "texture"),
                    min=0,
                    max=8192,
                    step=64,
                    optional=True,
                    tooltip="Texels along each side of the texture. 0 colours the vertices instead.",
                ),
            ],
            outputs=[io.Mesh.Output(display_name="mesh", tooltip="Connect to Save Mesh, or to core mesh nodes.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        scene,
        resolution: int,
        threshold: float,
        keep_fraction: float,
        faces: int = default(ExportConfig, "faces"),
        texture_size: int = default(ExportConfig, "texture"),
    ) -> io.NodeOutput:
        surface = MeshConfig(resolution=resolution, threshold=threshold or None, keep_fraction=keep_fraction)
        config = ExportConfig(faces=faces, texture=texture_size, surface=surface)
        mesh, text = extract(scene, config, cls.hidden.unique_id)
        return io.NodeOutput(mesh, ui={"text": [text]})


class SaveMesh(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SaveMesh",
            display_name="Save Mesh (coloured)",
            category=sockets.OUTPUT,
            description="Writes a mesh with its colours to ComfyUI's output folder.",
            is_output_node=True,
            inputs=[
                io.Mesh.Input("mesh", tooltip="A mesh from Extract Mesh, or of any other node."),
                io.String.Input(
                    "filename_prefix", default="tbsd/mesh", tooltip="Folder and name inside the output folder."
                ),
                io.Combo.Input(
                    "format",
                    options=[suffix[1:] for suffix in WRITERS],
                    default="glb",
                    tooltip="GLB opens in Blender, web viewers and Preview 3D.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="model_file", tooltip="The file inside the output folder; connect to Preview 3D."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(cls, mesh, filename_prefix: str, format: str) -> io.NodeOutput:
        path, relative = new_output(filename_prefix, f".{format}")
        write_mesh(from_mesh(mesh), path)
        return io.NodeOutput(relative, ui={"3d": [ui_file(relative)]})


class SaveScene(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SaveScene",
            display_name="Save Scene",
            category=sockets.OUTPUT,
            description="Keeps a scene as a .safetensors file, to go on with it later.",
            is_output_node=True,
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="A picture or an object."),
                io.String.Input(
                    "filename_prefix", default="tbsd/scene", tooltip="Folder and name inside the output folder."
                ),
            ],
            outputs=[
                io.String.Output(display_name="scene_file", tooltip="The file inside the output folder")
            ],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(cls, scene, filename_prefix: str) -> io.NodeOutput:
        path, relative = new_output(filename_prefix, ".safetensors")
        save_with_run(scene, run_of(scene), path)
        return io.NodeOutput(relative, ui={"text": [relative]})


class LoadScene(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_LoadScene",
            display_name="Load Scene",
            category=sockets.SCENE,
            description="Reads a scene that Save Scene wrote.",
            inputs=[
                io.String.Input(
                    "scene_file",
                    default="tbsd/scene_00001.safetensors",
                    tooltip="The file's name inside ComfyUI's output or input folder.",
                )
            ],
            outputs=[sockets.SceneSocket.Output(display_name="scene", tooltip="Optimise or render it.")],
        )

    @classmethod
    def validate_inputs(cls, scene_file=None) -> bool | str:
        return problem(cls, existing_output, name=scene_file)

    @classmethod
    def fingerprint_inputs(cls, scene_file: str) -> float:
        """A file that has changed is read again."""
        return existing_output(scene_file).stat().st_mtime

    @classmethod
    def execute(cls, scene_file: str) -> io.NodeOutput:
        with optimization_mode():
            return io.NodeOutput(load_with_run(existing_output(scene_file)))
