"""Wavefront OBJ with a texture: three files, the mesh, its material and the picture, side by side."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from ..atomic import atomic_path
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


def write_textured_obj(mesh: Mesh, path: str | os.PathLike) -> None:
    """Write .obj, .mtl and _texture.png (see `companions`). The .obj comes last: where it is, the others are."""
    if mesh.uvs is None or mesh.texture is None:
        raise ValueError("The mesh has no texture.")
    material, texture = companions(path)
    uvs = mesh.uvs * [1, -1] + [0, 1]  # OBJ counts v from the lower edge of the picture
    with atomic_path(path) as obj, atomic_path(material) as mtl, atomic_path(texture) as png:
        png.write_bytes(png_bytes(mesh.texture))
        mtl.write_text(
            f"newmtl {MATERIAL}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture.name}\n", encoding="utf-8"
        )
        with obj.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"mtllib {material.name}\n")
            for key, rows in (("v", mesh.vertices), ("vt", uvs), ("vn", mesh.vertex_normals())):
                np.savetxt(file, rows, fmt=f"{key} " + " ".join(["%.7g"] * rows.shape[1]))
            file.write(f"usemtl {MATERIAL}\n")
            np.savetxt(file, np.repeat(mesh.faces + 1, 3, axis=1), fmt="f " + " ".join(["%d/%d/%d"] * 3))
