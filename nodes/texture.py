"""Painting an existing mesh."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.mesh.load import FORMATS
from ..tbsd_core.mesh.paint import PlacementConfig
from ..tbsd_core.presets import with_settings
from ..tbsd_core.scenes import MeshTextureConfig
from . import sockets
from .base import Node, problem
from .bridge.files import existing_output
from .bridge.texture import given_mesh, scene_of_mesh, waiting
from .sockets import Recommended
from .widgets import widgets, with_widgets


class MeshTextureSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        detail, shading, seed, encoding = widgets(MeshTextureConfig())
        return io.Schema(
            node_id="TBSD_MeshTextureScene",
            display_name="Mesh Texture Scene",
            category=sockets.SCENE,
            description="A mesh to paint: its shape stays, its colours are optimised. Connect a MESH or name a file.",
            inputs=[
                io.String.Input(
                    "mesh_file",
                    default="",
                    tooltip=f"A mesh file ({', '.join(FORMATS)}) inside ComfyUI's input or output folder; upload "
                    "one with the button, or drop it on the node. Leave it empty if a mesh is connected.",
                ),
                *widgets(PlacementConfig()),
                detail,
                shading,
                io.Boolean.Input(
                    "keep_colors",
                    default=False,
                    tooltip="Start from the mesh's own colours instead of grey.",
                ),
                seed,
                io.Mesh.Input("mesh", optional=True, tooltip="A mesh from another node, such as Hunyuan 3D's."),
                encoding,
                sockets.scene_settings_input(),
                sockets.MeshFileInput.Input(
                    "file_3d",
                    optional=True,
                    tooltip="A mesh file from another node, such as Load 3D (.glb, .obj, .ply, .stl).",
                ),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize 3D, then Extract Mesh.")
            ],
            hidden=[io.Hidden.unique_id],
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
        cls, mesh_file: str, keep_colors: bool, mesh=None, settings: Recommended | None = None, file_3d=None, **values
    ) -> io.NodeOutput:
        on_wait = waiting(cls.hidden.unique_id)
        given, notes = given_mesh(mesh, mesh_file, file_3d, keep_colors, on_wait)
        config, place = with_widgets(MeshTextureConfig(), values), with_widgets(PlacementConfig(), values)
        if settings is not None:
            settings.check_scene("mesh_texture")
            config = with_settings(config, "scene", settings.preset)
        scene = scene_of_mesh(given, config, place, keep_colors, on_wait)
        return io.NodeOutput(scene, ui={"text": ["\n".join([f"{len(given.faces):,} triangles", *notes])]})
