"""Meshes from files, through trimesh: one joined mesh in the file's own coordinates, and what was noticed about it.

A file comes from anywhere. Its size and the counts that it declares are checked before anything is allocated for
them, and nothing is read but the file itself and, for an OBJ, what lies beside it in the same folder.
"""

from __future__ import annotations

import io
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..optional import require
from .mesh import Mesh

FORMATS = (".glb", ".obj", ".ply", ".stl")
MAX_BYTES = 1 << 29
MAX_VERTICES = MAX_FACES = 5_000_000
MAX_TEXTURE = 8192  # texels along each side


@dataclass(frozen=True)
class LoadedMesh:
    """A mesh, and one line for each thing that an artist may want to know about it."""

    mesh: Mesh
    report: tuple[str, ...]


def load_mesh(path: Path) -> LoadedMesh:
    """Read a GLB, OBJ, PLY or STL file; several objects are joined where their transforms put them.

    Texture coordinates and a base colour texture are kept where all objects share one texture. Faces without an area
    are dropped. Meshes that are open or not manifold are accepted, and reported.

    Raises:
        ImportError: trimesh is missing; with its pip line.
        ValueError: unknown format, a file that is damaged, too large or refers to other files, no faces, vertices
            that are not finite, faces of vertices that are not there.
        FileNotFoundError: there is no such file.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"{path.name}: expected a mesh file {', '.join(FORMATS)}, got {kind or 'no ending'!r}.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size >> 20} MB; at most {MAX_BYTES >> 20} MB are read.")
    data = path.read_bytes()
    _check_declared(data, kind, path.name)
    trimesh = require("trimesh")
    try:
        scene = trimesh.load_scene(
            io.BytesIO(data), file_type=kind[1:], resolver=_Beside(path.parent), process=False, skip_materials=False
        )
        parts = _placed_parts(scene, trimesh, path.name)
    except Exception as error:  # a parser of damaged bytes fails in any way
        if isinstance(error, ValueError) and str(error).startswith(path.name):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path.name} cannot be read as {kind[1:].upper()} ({reason}).") from error
    if not parts:
        raise ValueError(f"{path.name} has no faces: there is nothing to paint.")
    mesh, report = _join(parts, path.name)
    return LoadedMesh(mesh, tuple(report + _shape_report(mesh)))


class _Beside:
    """Gives trimesh the files in one folder, by bare name alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> bytes:
        file = self.folder / name
        if Path(name).name != name or "\\" in name or file.is_symlink() or not file.is_file():
            raise FileNotFoundError(f"{name!r} is not a file beside the mesh")
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"{name} has more than {MAX_BYTES >> 20} MB.")
        return file.read_bytes()

    __getitem__ = get


def _check_declared(data: bytes, kind: str, name: str) -> None:
    """Raise ValueError where the counts that a header declares are too large, or a GLB refers to other files."""
    counts: list[int] = []
    if kind == ".glb":
        if len(data) < 20 or data[:4] != b"glTF":
            raise ValueError(f"{name} is not a GLB file: it does not begin with 'glTF'.")
        try:
            tree = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
            counts = [int(a["count"]) for a in tree.get("accessors", [])]
            outside = [x["uri"] for key in ("buffers", "images") for x in tree.get(key, []) if "uri" in x]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{name} is damaged: its glTF description cannot be read ({error}).") from error
        if any(not uri.startswith("data:") for uri in outside):
            raise ValueError(f"{name} refers to other files. Save it as one GLB with everything inside.")
    elif kind == ".ply":
        header = data[: data.find(b"end_header")] if b"end_header" in data[:65536] else b""
        counts = [int(n) for n in re.findall(rb"element\s+\w+\s+(\d+)", header)]
    elif kind == ".stl" and len(data) >= 84 and not data.lstrip()[:5] == b"solid":
        counts = [struct.unpack_from("<I", data, 80)[0]]
    if counts and not 0 <= min(counts) <= max(counts) <= 3 * MAX_FACES:
        raise ValueError(f"{name} declares {max(counts)} elements; at most {MAX_FACES} faces are read.")


def _placed_parts(scene: Any, trimesh: Any, name: str) -> list[tuple[Any, np.ndarray]]:
    """The triangle meshes of a scene, each with its vertices where the scene's transforms put them."""
    placed = [scene.graph[node] for node in scene.graph.nodes_geometry]
    placed = [(matrix, scene.geometry[g]) for matrix, g in placed if isinstance(scene.geometry[g], trimesh.Trimesh)]
    placed = [(matrix, part) for matrix, part in placed if len(part.faces)]
    n_vertices, n_faces = (sum(len(getattr(part, k)) for _, part in placed) for k in ("vertices", "faces"))
    if n_vertices > MAX_VERTICES or n_faces > MAX_FACES:  # one object may be there many times
        raise ValueError(f"{name} has {n_vertices} vertices and {n_faces} faces; at most {MAX_FACES} are read.")
    return [(part, np.asarray(part.vertices) @ matrix[:3, :3].T + matrix[:3, 3]) for matrix, part in placed]


def _join(parts: list[tuple[Any, np.ndarray]], name: str) -> tuple[Mesh, list[str]]:
    report = [f"{len(parts)} objects joined"] if len(parts) > 1 else []
    offsets = np.cumsum([0] + [len(v) for _, v in parts])
    faces = np.concatenate([np.asarray(p.faces, dtype=np.int64) + o for (p, _), o in zip(parts, offsets, strict=False)])
    vertices = np.concatenate([v for _, v in parts]).astype(np.float32)
    for (part, v), _ in zip(parts, offsets, strict=False):
        if part.faces.min() < 0 or part.faces.max() >= len(v):
            raise ValueError(f"{name} is damaged: a face names a vertex beyond the {len(v)} there are.")
    used = vertices[np.unique(faces)]
    if not np.isfinite(used).all():
        raise ValueError(f"{name} has {int((~np.isfinite(used)).any(-1).sum())} vertices that are not finite numbers.")
    vertices = np.nan_to_num(vertices, nan=0.0, posinf=0.0, neginf=0.0)  # of unused vertices alone
    corner = vertices[faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1)
    if not (area > 0).all():
        report.append(f"{int((area == 0).sum())} faces without an area dropped")
        faces = faces[area > 0]
    if not len(faces):
        raise ValueError(f"{name} has no face with an area: there is nothing to paint.")
    uvs = [uv for p, v in parts if (uv := getattr(p.visual, "uv", None)) is not None and len(uv) == len(v)]
    images = [_image(p) for p, _ in parts]
    kept_uvs = kept_texture = None
    if len(uvs) == len(parts):
        first = images[0]
        if len(parts) == 1 or (first is not None and all(i is first for i in images)):
            kept_uvs = np.concatenate(uvs).astype(np.float32) * [1, -1] + [0, 1]  # trimesh counts v from below
            kept_texture = None if first is None else _pixels(first, name)
    if kept_texture is None and any(i is not None for i in images):
        report.append("the objects have several textures, which are not kept")
    colors = None
    if all(p.visual.kind == "vertex" for p, _ in parts):
        colors = np.concatenate([p.visual.vertex_colors[:, :3] for p, _ in parts]).astype(np.float32) / 255
    kept_uvs = None if kept_uvs is None else kept_uvs.astype(np.float32)
    return Mesh(vertices, faces, colors, kept_uvs, kept_texture), report


def _image(part: Any) -> Any:
    material = getattr(part.visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return image if getattr(image, "format", None) else None  # trimesh makes up a picture where a file has none


def _pixels(image: Any, name: str) -> np.ndarray:
    if max(image.size) > MAX_TEXTURE:  # known before it is unpacked
        raise ValueError(f"{name} has a texture of {image.size[0]} x {image.size[1]}; at most {MAX_TEXTURE} are read.")
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


def _shape_report(mesh: Mesh) -> list[str]:
    """Whether the surface is closed and manifold; vertices in one place count as one."""
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), -1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    lines = []
    if (count == 1).any():
        lines.append(f"not watertight: {int((count == 1).sum())} open edges (both sides are painted)")
    if (count > 2).any():
        lines.append(f"not manifold: {int((count > 2).sum())} edges of more than two faces")
    return lines
