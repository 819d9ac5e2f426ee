"""Wavefront OBJ: the mesh, and beside it, for a texture, its material and the picture."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from ..atomic import atomic_path
from .crease import with_normals
from .mesh import Mesh
from .texture import png_bytes

MATERIAL = "surface"


def companions(path: str | os.PathLike) -> tuple[Path, Path]:
    """Where the material and the texture of an .obj file go: the same folder, named after it.

    Readers disagree on where a name with spaces ends, so such characters become underscores, and a digest
    of the true name keeps "a b" and "a_b" apart.
    """
    path = Path(path)
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)
    if stem != path.stem:
        stem += "-" + hashlib.sha256(path.stem.encode()).hexdigest()[:8]
    return path.with_name(f"{stem}.mtl"), path.with_name(f"{stem}_texture.png")


def write_obj(mesh: Mesh, path: str | os.PathLike) -> None:
    """Write .obj and, for a texture, .mtl and _texture.png (see `companions`). The .obj comes last: where it is, the
    others are. Vertex colours follow the places, as most programs read them; OBJ states no colour space for them."""
    mesh = with_normals(mesh)
    if mesh.texture is None:
        with atomic_path(path) as obj:
            _write_lines(mesh, obj, [])
        return
    material, texture = companions(path)
    with atomic_path(path) as obj, atomic_path(material) as mtl, atomic_path(texture) as png:
        png.write_bytes(png_bytes(mesh.texture))
        mtl.write_text(
            f"newmtl {MATERIAL}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture.name}\n", encoding="utf-8"
        )
        _write_lines(mesh, obj, [f"mtllib {material.name}\n", f"usemtl {MATERIAL}\n"])


def _write_lines(mesh: Mesh, path: Path, head: list[str]) -> None:
    vertices, uvs = mesh.vertices, mesh.uvs
    if mesh.texture is None and mesh.colors is not None:  # some readers, trimesh among them, take only one of the two
        vertices, uvs = np.concatenate([vertices, mesh.colors], -1), None
    rows = {"v": vertices, "vn": mesh.surface.normals}
    if uvs is not None:
        rows["vt"] = uvs * [1, -1] + [0, 1]  # OBJ counts v from the lower edge of the picture
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(head)
        for key, values in rows.items():
            assert values is not None
            np.savetxt(file, values, fmt=f"{key} " + " ".join(["%.7g"] * values.shape[1]))
        corner = "%d//%d" if uvs is None else "%d/%d/%d"
        numbers = np.repeat(mesh.faces + 1, 2 if uvs is None else 3, axis=1)
        np.savetxt(file, numbers, fmt="f " + " ".join([corner] * 3))
