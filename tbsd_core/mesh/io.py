"""Mesh files. The suffix chooses the format: .glb, .ply or .obj."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..atomic import atomic_path
from ..optional import require
from .glb import write_glb
from .mesh import Mesh
from .obj import write_textured_obj
from .texture import sample_texture


def _write_ply(mesh: Mesh, path: str | os.PathLike) -> None:
    """A PLY file carries no texture: its vertices get the texture's colours at their places."""
    if mesh.texture is not None and mesh.uvs is not None:
        mesh = replace(mesh, colors=sample_texture(mesh.texture, mesh.uvs), uvs=None, texture=None)
    _write_trimesh(mesh, path)


def _write_obj(mesh: Mesh, path: str | os.PathLike) -> None:
    (_write_trimesh if mesh.texture is None else write_textured_obj)(mesh, path)


def _write_trimesh(mesh: Mesh, path: str | os.PathLike) -> None:
    """PLY and OBJ have no stated colour space; programs take their vertex colours as sRGB, so they stay as they are."""
    trimesh = require("trimesh")
    colors = None if mesh.colors is None else np.round(np.clip(mesh.colors, 0, 1) * 255).astype(np.uint8)
    container = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    with atomic_path(path) as temporary:
        container.export(temporary)


WRITERS: dict[str, Callable[[Mesh, str | os.PathLike], None]] = {
    ".glb": write_glb,
    ".ply": _write_ply,
    ".obj": _write_obj,
}


def write_mesh(mesh: Mesh, path: str | os.PathLike, extra: Mapping[str, str] | None = None) -> Path:
    """Write a mesh and return its path. The file is complete or absent, and replaces an older one.

    GLB holds the texture inside. OBJ puts it beside itself with a material (obj.companions). PLY carries no
    texture and gets its colours at the vertices, which is coarser: prefer the others. `extra` is the graph that
    made it, which GLB has a place for.

    Raises:
        ValueError: for a suffix not in WRITERS.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"Cannot write a mesh as {path.suffix!r} ({path.name}); use one of {', '.join(WRITERS)}.")
    if writer is write_glb:
        write_glb(mesh, path, extra)
    else:
        writer(mesh, path)
    return path
