"""Mesh files. The suffix chooses the format: .glb, .ply or .obj."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..atomic import atomic_path
from ..optional import require
from .glb import write_glb
from .mesh import Mesh


def _write_trimesh(mesh: Mesh, path: str | os.PathLike) -> None:
    """PLY and OBJ have no stated colour space; programs take their vertex colours as sRGB, so they stay as they are."""
    trimesh = require("trimesh")
    colors = None if mesh.colors is None else np.round(mesh.colors * 255).astype(np.uint8)
    container = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    with atomic_path(path) as temporary:
        container.export(temporary)


WRITERS: dict[str, Callable[[Mesh, str | os.PathLike], None]] = {
    ".glb": write_glb,
    ".ply": _write_trimesh,
    ".obj": _write_trimesh,
}


def write_mesh(mesh: Mesh, path: str | os.PathLike) -> Path:
    """Write a mesh and return its path. The file is complete or absent, and replaces an older one.

    Raises:
        ValueError: for a suffix not in WRITERS.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"Cannot write a mesh as {path.suffix!r} ({path.name}); use one of {', '.join(WRITERS)}.")
    writer(mesh, path)
    return path
