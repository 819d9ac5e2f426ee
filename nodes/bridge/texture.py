"""Meshes of other nodes and files as scenes to paint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import comfy.model_management
import comfy.utils

from ...tbsd_core.mesh import Mesh, PlacementConfig, texture_scene
from ...tbsd_core.mesh.load import load_mesh
from ...tbsd_core.mesh.paint import start_from_colors
from ...tbsd_core.mesh.tint import tinted
from ...tbsd_core.scenes import MeshTextureConfig, MeshTextureScene
from .autograd import optimization_mode
from .files import existing_output
from .interop.files import path_of
from .interop.mesh import from_mesh, several


def waiting(node_id: str | None) -> Callable[[float], None]:
    """A callback that moves a node's bar while the child process works, and stops the work when ComfyUI is told to."""
    bar = comfy.utils.ProgressBar(100, node_id=node_id)

    def on_wait(progress: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(100 * progress), 100)

    return on_wait


def given_mesh(
    mesh, mesh_file: str, file_3d, keep_colors: bool, on_wait: Callable[[float], None]
) -> tuple[Mesh, list[str]]:
    """The mesh of a socket or of a file, and notes about it.

    Raises:
        ValueError: several are given, or none, or the file cannot be used.
        FileNotFoundError: there is no such file.
    """
    named = bool(mesh_file.strip())
    n_given = named + (mesh is not None) + (file_3d is not None)
    if n_given != 1:
        got = "none" if n_given == 0 else "both a file and a connected one" if named else "two connected ones"
        raise ValueError(
            f"Mesh Texture Scene needs one mesh, got {got}. Connect a MESH or a 3D file, or write the name of a file "
            "in ComfyUI's input folder into mesh_file."
        )
    if mesh is not None:
        return from_mesh(mesh), several(mesh)
    with nullcontext(existing_output(mesh_file)) if named else path_of(file_3d) as path:
        loaded = load_mesh(path, colors=keep_colors, on_wait=on_wait)
    return loaded.mesh, list(loaded.report)


def scene_of_mesh(
    mesh: Mesh,
    config: MeshTextureConfig,
    place: PlacementConfig,
    keep_colors: bool,
    on_wait: Callable[[float], None],
) -> MeshTextureScene:
    """A scene that paints the mesh, grey or in the colours it has. Raises ValueError where it has none to keep."""
    with optimization_mode():
        mesh = tinted(mesh) if keep_colors else mesh
        scene = texture_scene(mesh, config, place, on_wait)
        if keep_colors:
            start_from_colors(scene, mesh)
        return scene
