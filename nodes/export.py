"""From a scene to files, and back."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.experiment import write_file
from ..tbsd_core.mesh import WRITERS, ExportConfig, write_mesh
from . import sockets
from .base import Node, problem
from .bridge.autograd import optimization_mode
from .bridge.compat import file_value
from .bridge.files import existing_output, inside_output, new_output, ui_file
from .bridge.interop.mesh import from_mesh
from .bridge.interop.splats import save as save_splats
from .bridge.mesh import extract
from .bridge.queued import queued_by
from .bridge.scenes import load_with_run, run_of
from .widgets import widgets, with_widgets


class ExtractMesh(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ExtractMesh",
            display_name="Extract Mesh",
            category=sockets.OUTPUT,
            description="Cuts the surface out of a 3D scene as a mesh with a texture.",
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="An optimised 3D scene."),
                *widgets(ExportConfig()),
            ],
            outputs=[io.Mesh.Output(display_name="mesh", tooltip="Connect to Save Mesh, or to core mesh nodes.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, scene, **values) -> io.NodeOutput:
        mesh, text = extract(scene, with_widgets(ExportConfig(), values), cls.hidden.unique_id)
        return io.NodeOutput(mesh, ui={"text": [text]})


class SaveMesh(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SaveMesh",
            display_name="Save Mesh (coloured)",
            category=sockets.OUTPUT,
            description="Writes a mesh with its colours to ComfyUI's output folder. Each mesh of a batch gets a file; "
            "the outputs are of the first.",
            is_output_node=True,
            inputs=[
                io.Mesh.Input("mesh", tooltip="A mesh from Extract Mesh or any other node."),
                io.String.Input(
                    "filename_prefix", default="tbsd/mesh", tooltip="Folder and file name inside the output folder."
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
                ),
                sockets.MeshFileOutput.Output(
                    display_name="file_3d",
                    tooltip="The file itself, in the chosen format. Connect to Preview 3D or Save 3D. ComfyUI "
                    "before 0.12.1 has no such type and gets the file's path.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(cls, mesh, filename_prefix: str, format: str) -> io.NodeOutput:
        files = []
        for index in range(len(mesh.vertices)):
            path, relative = new_output(filename_prefix, f".{format}")
            write_mesh(from_mesh(mesh, index), path, queued_by(cls).texts())
            files.append((path, relative))
        path, relative = files[0]
        names = [name for _, name in files]
        return io.NodeOutput(relative, file_value(path), ui={"3d": [ui_file(n) for n in names], "text": names})


class SaveSplats(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SaveSplats",
            display_name="Save Splats",
            category=sockets.OUTPUT,
            description="Writes a Gaussian Scene as a .ply file that stands upright in splat viewers.",
            is_output_node=True,
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="An optimised Gaussian Scene."),
                io.String.Input(
                    "filename_prefix", default="tbsd/splats", tooltip="Folder and file name inside the output folder."
                ),
            ],
            outputs=[
                io.String.Output(display_name="splat_file", tooltip="The file inside the output folder."),
                sockets.SplatFileOutput.Output(
                    display_name="file_3d",
                    tooltip="The file itself. Connect to Preview Splat, Save Splat or Get Splat. ComfyUI before "
                    "0.12.1 has no such type and gets the file's path.",
                ),
                sockets.SplatSocket.Output(
                    display_name="splat", tooltip="The splats themselves. Connect to Render Splat or Gaussian Scene."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(cls, scene, filename_prefix: str) -> io.NodeOutput:
        path, relative = new_output(filename_prefix, ".ply")
        splat = save_splats(scene, path)
        return io.NodeOutput(relative, file_value(path), splat, ui={"text": [relative]})


class SaveScene(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SaveScene",
            display_name="Save Scene",
            category=sockets.OUTPUT,
            description="Saves a scene as a .safetensors file, to continue with it later.",
            is_output_node=True,
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="A picture or an object."),
                io.String.Input(
                    "filename_prefix", default="tbsd/scene", tooltip="Folder and file name inside the output folder."
                ),
            ],
            outputs=[
                io.String.Output(display_name="scene_file", tooltip="The file inside the output folder.")
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(cls, scene, filename_prefix: str) -> io.NodeOutput:
        path, relative = new_output(filename_prefix, ".safetensors")
        write_file(path, scene, run_of(scene), extra=queued_by(cls).texts())
        return io.NodeOutput(relative, ui={"text": [relative]})


class LoadScene(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_LoadScene",
            display_name="Load Scene",
            category=sockets.SCENE,
            description="Loads a scene that Save Scene or the command line wrote, together with its run.",
            inputs=[
                io.String.Input(
                    "scene_file",
                    default="tbsd/scene_00001.safetensors",
                    tooltip="The file's name inside ComfyUI's output or input folder.",
                )
            ],
            outputs=[sockets.SceneSocket.Output(display_name="scene", tooltip="The scene, to optimise or to render.")],
        )

    @classmethod
    def validate_inputs(cls, scene_file=None) -> bool | str:
        return problem(cls, existing_output, name=scene_file)

    @classmethod
    def fingerprint_inputs(cls, scene_file: str | None) -> float:
        """A file that has changed is read again. A name that another node gives is not known yet."""
        return 0.0 if scene_file is None else existing_output(scene_file).stat().st_mtime

    @classmethod
    def execute(cls, scene_file: str) -> io.NodeOutput:
        with optimization_mode():
            return io.NodeOutput(load_with_run(existing_output(scene_file)))


NODES = [ExtractMesh, SaveMesh, SaveSplats, SaveScene, LoadScene]
