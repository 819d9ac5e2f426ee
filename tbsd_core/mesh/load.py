"""Meshes from files: one joined mesh in the file's own coordinates, and notes about it.

A file comes from anywhere. It is read in the child process, within limits of time and memory (read.read_mesh). Its
declared sizes are checked before anything is allocated, and only the file itself is read and, for an OBJ or PLY, files
beside it in the same folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..native import Limits, NativeFailure, run_native
from .mesh import Mesh
from .read import FORMATS, MAX_BYTES
from .surface import Surface

LIMITS = Limits(seconds=300.0, bytes=8 << 30)
FIXES = {
    "crashed": "The file is probably damaged: open it in Blender or MeshLab and export it again.",
    "time": "Simplify the mesh, or save it as GLB, which is read faster.",
    "memory": "Simplify the mesh, or save it as GLB, which needs less memory.",
}


@dataclass(frozen=True)
class LoadedMesh:
    """A mesh, and one line for each thing that an artist may want to know about it."""

    mesh: Mesh
    report: tuple[str, ...]


def load_mesh(
    path: Path, *, colors: bool = True, on_wait: Callable[[float], None] = lambda progress: None
) -> LoadedMesh:
    """Read a GLB, OBJ, PLY or STL file; several objects are joined where their transforms put them.

    The mesh keeps texture coordinates and a base colour texture if all objects share one texture. It also keeps a GLB's
    normals and tangents, and the maps and factors of its material. The pictures of several materials are combined into
    one (skin.py). Properties that all materials of an OBJ share are kept (mtl.py). The report names everything that is
    lost. Faces without an area are dropped. Meshes that are open or not manifold are accepted, and reported.

    Args:
        colors: whether its colours are wanted. If so, a texture that cannot be kept is an error unless there are
            vertex colours; if not, no texture is unpacked, and the report has a line instead.
        on_wait: called about ten times a second with the progress in [0, 1]; an exception from it stops the reading.

    Raises:
        ImportError: trimesh or Pillow is missing; with its pip line.
        ValueError: unknown format, a file that is damaged, too large or refers to other files, no faces, vertices
            that are not finite, faces of vertices that are not there, a texture that is wanted and cannot be kept.
        FileNotFoundError: there is no such file.
        NativeFailure: no child process can be started.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"{path.name}: expected a mesh file {', '.join(FORMATS)}, got {kind or 'no ending'!r}.")
    if (n_bytes := path.stat().st_size) > MAX_BYTES:
        raise ValueError(
            f"{path.name} has {n_bytes >> 20} MB; at most {MAX_BYTES >> 20} MB are read. Simplify the mesh."
        )
    try:
        got = run_native("read_mesh", {"path": str(path.absolute()), "colors": colors}, on_wait=on_wait, limits=LIMITS)
    except NativeFailure as failure:
        if failure.reason == "start":
            raise
        raise ValueError(f"{path.name} cannot be read: {failure} {FIXES[failure.reason]}") from failure
    surface = Surface(
        got["normals"],
        got["tangents"],
        **{name: _in_unit(picture) for name, picture in got["maps"].items()},
        has_occlusion=got["has_occlusion"],
        factors=got["factors"],
        materials=got["materials"],
        material_names=tuple(got["material_names"]),
    )
    texture = None if got["texture"] is None else _in_unit(got["texture"])
    mesh = Mesh(got["vertices"], got["faces"], got["colors"], got["uvs"], texture, got["unlit"], surface)
    return LoadedMesh(mesh, tuple(got["report"]))


def _in_unit(picture: np.ndarray) -> np.ndarray:
    """8 bits as float32 in [0, 1]."""
    values = picture.astype(np.float32)
    values /= 255
    return values
