"""Mesh files. The suffix chooses the format: .glb, .ply or .obj."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..atomic import atomic_path
from ..optional import require
from .check import FIX, check_faces
from .glb import write_glb
from .mesh import Mesh
from .obj import write_obj
from .texture import sample_texture, wrapped


def _write_ply(mesh: Mesh, path: str | os.PathLike) -> None:
    """A PLY file carries no texture: its vertices get the texture's colours at their places. It has no stated colour
    space; programs take vertex colours as sRGB, so they stay as they are."""
    trimesh = require("trimesh")
    colors = mesh.colors
    if mesh.texture is not None and mesh.uvs is not None:
        colors = sample_texture(mesh.texture, wrapped(mesh.uvs))
    colors = None if colors is None else np.round(np.clip(colors, 0, 1) * 255).astype(np.uint8)
    container = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    with atomic_path(path) as temporary:
        container.export(temporary)


WRITERS: dict[str, Callable[[Mesh, str | os.PathLike], None]] = {
    ".glb": write_glb,
    ".ply": _write_ply,
    ".obj": write_obj,
}


def write_mesh(mesh: Mesh, path: str | os.PathLike, extra: Mapping[str, str] | None = None) -> Path:
    """Write a mesh and return its path. The file is complete or absent, and replaces an older one.

    GLB holds the texture inside. OBJ puts it beside itself with a material (obj.companions). PLY carries no
    texture and gets its colours at the vertices, which is coarser: prefer the others. `extra` is the graph that
    made it, which GLB has a place for.

    Raises:
        ValueError: for a suffix not in WRITERS, and for a mesh that is empty or damaged.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"Cannot write a mesh as {path.suffix!r} ({path.name}); use one of {', '.join(WRITERS)}.")
    check_faces(mesh)
    if broken := int((~np.isfinite(mesh.vertices)).any(1).sum()):
        raise ValueError(f"{broken} of the mesh's {len(mesh.vertices)} vertices are not finite numbers. {FIX}")
    if writer is write_glb:
        write_glb(mesh, path, extra)
    else:
        writer(mesh, path)
    return path
