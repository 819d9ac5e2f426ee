"""Mesh files read with trimesh: a task of the child process (see native), for any of it may crash, hang or swell."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..color import linear_to_srgb
from ..optional import require
from .gltf_tree import flat_glb
from .pictures import SEVERAL, Found, picture_of_obj, picture_of_ply, unpacked

FORMATS = (".glb", ".obj", ".ply", ".stl")
MAX_BYTES = 1 << 29
MAX_VERTICES = MAX_FACES = 5_000_000
MAX_HEADER, MAX_SOLIDS = 1 << 20, 10_000


@dataclass(frozen=True)
class Part:
    """A triangle mesh, shown at K places."""

    vertices: np.ndarray  # [N, 3]
    faces: np.ndarray  # [M, 3] int64
    uvs: np.ndarray | None  # [N, 2] as in glTF
    colors: np.ndarray | None  # [N, 3] in [0, 1], sRGB
    matrices: np.ndarray  # [K, 4, 4]


def read_mesh(on_progress: Callable[[float], None], path: str, colors: bool) -> dict[str, Any]:
    """One joined mesh in the file's own coordinates. See load.load_mesh.

    Args:
        colors: whether a texture is unpacked.

    Returns:
        vertices [N, 3] float32, faces [M, 3] int64; colors [N, 3], uvs [N, 2] float32, texture [H, W, 3] uint8 or None;
        report, a list of lines.
    """
    file = Path(path)
    name, kind, data = file.name, file.suffix.lower(), file.read_bytes()
    on_progress(0.1)
    try:
        parts, found = _read(data, kind, file)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # a parser of damaged bytes fails in any way
        if isinstance(error, ValueError) and str(error).startswith(name):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name} cannot be read as {kind[1:].upper()} ({reason}). Export it anew.") from error
    parts = [used for part in parts if len(part.faces) for used in [_used(part, name)]]
    if not parts:
        raise ValueError(f"{name} has no faces: there is nothing to paint. Export a mesh with triangles.")
    n_vertices, n_faces = (sum(len(getattr(p, k)) * len(p.matrices) for p in parts) for k in ("vertices", "faces"))
    if n_vertices > MAX_VERTICES or n_faces > MAX_FACES:
        raise ValueError(
            f"{name} has {n_vertices:,} vertices and {n_faces:,} faces; at most {MAX_FACES:,} are read. Simplify it."
        )
    on_progress(0.7)
    mesh, report = _joined(parts, found.is_shared, name)
    on_progress(0.8)
    report += _shape_report(mesh["vertices"], mesh["faces"])
    on_progress(0.9)
    texture, problem = None, found.problem
    if found.data is not None and mesh["uvs"] is None:
        problem = "it has a picture, but no texture coordinates that say where it goes. Unwrap it"
    elif found.data is not None:
        try:
            texture, said = unpacked(found.data, pixels=colors)
            report += [said] if said else []
        except ValueError as error:
            problem = f"its texture is not kept: {error}"
    if problem and colors and mesh["colors"] is None:
        raise ValueError(f"{name}: {problem}. Or turn keep_colors off, to begin in grey.")
    report += [problem] if problem else []
    return {**mesh, "texture": texture, "report": report}


def _read(data: bytes, kind: str, file: Path) -> tuple[list[Part], Found]:
    """The meshes of a file, after what it declares has been checked."""
    if kind == ".glb":
        flat = flat_glb(data, file.name, MAX_FACES)
        parts = [_glb_part(mesh, flat.matrices[int(key)]) for key, mesh in _meshes(flat.data, kind)]
        return parts, Found(flat.picture) if flat.n_pictures <= 1 else SEVERAL
    found = Found()
    if kind == ".obj":
        found = picture_of_obj(data, file.parent)
        # trimesh would make a mesh for each material, in a time that grows with the square of their number
        data = re.sub(rb"(?m)^[ \t]*(usemtl|mtllib)\b[^\r\n]*", b"", data)
    elif kind == ".ply":
        _check_ply(data, file.name)
        found = picture_of_ply(data, file.parent)
    else:
        _check_stl(data, file.name)
    return [_part(mesh) for _, mesh in _meshes(data, kind)], found


def _meshes(data: bytes, kind: str) -> list[tuple[str, Any]]:
    trimesh = require("trimesh")
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind[1:], process=False, skip_materials=True)
    return [(key, mesh) for key, mesh in scene.geometry.items() if isinstance(mesh, trimesh.Trimesh)]


def _check_ply(data: bytes, name: str) -> None:
    end = data.find(b"end_header", 0, MAX_HEADER)
    if end < 0:
        raise ValueError(f"{name} is damaged: no 'end_header' in its first {MAX_HEADER >> 20} MB. Export it anew.")
    _check_count((int(n) for n in re.findall(rb"element\s+\w+\s+(\d+)", data[:end])), name)


def _check_stl(data: bytes, name: str) -> None:
    if len(data) >= 84 and data.lstrip()[:5] != b"solid":
        _check_count([struct.unpack_from("<I", data, 80)[0]], name)
    elif (n_solids := len(re.findall(rb"(?i)endsolid", data))) > MAX_SOLIDS:
        raise ValueError(f"{name} has {n_solids:,} solids; at most {MAX_SOLIDS:,} are read. Join them into one.")


def _check_count(counts: Any, name: str) -> None:
    most = max(counts, default=0)
    if most > 3 * MAX_FACES:
        raise ValueError(f"{name} declares {most} elements; at most {MAX_FACES} faces are read. Simplify it first.")


def _glb_part(mesh: Any, matrices: np.ndarray) -> Part:
    uvs, colors = (mesh.vertex_attributes.get(key) for key in ("_uv", "_color"))
    if colors is not None:
        # glTF says linear light. Writers that give it bytes (trimesh, and what builds on it) put in sRGB all the same
        is_linear, colors = colors.dtype != np.uint8, np.clip(_unit(colors)[:, :3], 0, 1)
        colors = linear_to_srgb(colors) if is_linear else colors
    uvs = None if uvs is None else _unit(uvs)
    return Part(np.asarray(mesh.vertices), np.asarray(mesh.faces, dtype=np.int64), uvs, colors, matrices)


def _unit(values: np.ndarray) -> np.ndarray:
    """glTF's numbers as float32; whole ones are parts of their largest."""
    scale = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    return np.asarray(values, dtype=np.float32) / scale


def _part(mesh: Any) -> Part:
    uvs, colors = getattr(mesh.visual, "uv", None), None
    if uvs is not None:
        uvs = np.asarray(uvs) * [1, -1] + [0, 1]  # trimesh counts v from below
    if mesh.visual.kind == "vertex":
        colors = np.asarray(mesh.visual.vertex_colors[:, :3], dtype=np.float32) / 255
    return Part(np.asarray(mesh.vertices), np.asarray(mesh.faces, dtype=np.int64), uvs, colors, np.eye(4)[None])


def _used(part: Part, name: str) -> Part:
    """A part without the vertices that no face names: objects of a GLB often share one long list."""
    n = len(part.vertices)
    if part.vertices.shape[1:] != (3,) or part.faces.shape[1:] != (3,):
        got = f"{list(part.vertices.shape)} and {list(part.faces.shape)}"
        raise ValueError(f"{name} is damaged: expected vertices [N, 3] and faces [M, 3], got {got}. Export it anew.")
    if part.faces.min() < 0 or part.faces.max() >= n:
        raise ValueError(f"{name} is damaged: a face names a vertex beyond the {n} there are. Export it anew.")
    is_used = np.zeros(n, dtype=bool)
    is_used[part.faces] = True
    sized = ((part.uvs, (n, 2)), (part.colors, (n, 3)))
    uvs, colors = (None if x is None or x.shape != shape else x[is_used] for x, shape in sized)
    faces = (np.cumsum(is_used) - 1)[part.faces]
    return Part(part.vertices[is_used], faces, uvs, colors, part.matrices)


def _joined(parts: list[Part], uvs_fit: bool, name: str) -> tuple[dict[str, Any], list[str]]:
    """All parts where they are shown, without faces that have no area."""
    n_objects = sum(len(p.matrices) for p in parts)
    report = [f"{n_objects:,} objects joined"] if n_objects > 1 else []
    vertices, faces, n_before = [], [], 0
    for part in parts:
        n, k = len(part.vertices), len(part.matrices)
        placed = part.vertices @ part.matrices[:, :3, :3].transpose(0, 2, 1) + part.matrices[:, None, :3, 3]
        vertices.append(placed.reshape(-1, 3).astype(np.float32))
        own = np.repeat(part.faces[None], k, axis=0)
        mirrored = np.linalg.det(part.matrices[:, :3, :3]) < 0
        own[mirrored] = own[mirrored][..., ::-1]  # their outside stays outside
        faces.append((own + (n_before + n * np.arange(k))[:, None, None]).reshape(-1, 3))
        n_before += n * k

    def of_all(key: str) -> np.ndarray | None:
        if any(getattr(p, key) is None for p in parts):
            return None
        return np.concatenate([np.tile(getattr(p, key), (len(p.matrices), 1)) for p in parts]).astype(np.float32)

    joined, all_faces = np.concatenate(vertices), np.concatenate(faces)
    if not np.isfinite(joined).all():
        n_bad = int((~np.isfinite(joined)).any(-1).sum())
        raise ValueError(f"{name} has {n_bad} vertices that are not finite numbers. Repair it, or export it anew.")
    a, b, c = (joined[all_faces[:, k]].astype(np.float64) for k in range(3))
    has_area = (np.cross(b - a, c - a) != 0).any(-1)
    if not has_area.all():
        report.append(f"{int((~has_area).sum()):,} faces without an area dropped")
        all_faces = all_faces[has_area]
    if not len(all_faces):
        raise ValueError(f"{name} has no face with an area: there is nothing to paint. Export a mesh with triangles.")
    uvs = of_all("uvs") if uvs_fit else None
    return {"vertices": joined, "faces": all_faces, "colors": of_all("colors"), "uvs": uvs}, report


def _shape_report(vertices: np.ndarray, faces: np.ndarray) -> list[str]:
    """Whether the surface is closed and manifold; vertices in one place count as one."""
    order = np.lexsort(vertices.T)
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(-1)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(is_new) - 1
    ends = place[faces]
    low, high = (f(ends, ends[:, [1, 2, 0]]) for f in (np.minimum, np.maximum))
    _, count = np.unique(low * len(vertices) + high, return_counts=True)
    lines = []
    if (count == 1).any():
        lines.append(f"not watertight: {int((count == 1).sum()):,} open edges (both sides are painted)")
    if (count > 2).any():
        lines.append(f"not manifold: {int((count > 2).sum()):,} edges of more than two faces")
    return lines
