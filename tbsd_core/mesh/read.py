"""Mesh files, GLB with trimesh: a task of the child process (see native), because any of it may crash or hang."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..color import linear_to_srgb
from ..optional import require
from .corners import Shape
from .glb_colors import colored
from .gltf_tree import flat_glb
from .look import Look, moved_coordinates
from .mtl import skin_of_obj
from .obj_read import read_obj
from .pictures import Found, unpacked
from .ply_read import read_ply
from .skin import Skin
from .stl_read import read_stl

FORMATS = (".glb", ".obj", ".ply", ".stl")
MAX_BYTES = 1 << 29
MAX_ROUNDING = 1e-4  # of a mesh's extent
MAX_VERTICES = MAX_FACES = 5_000_000


@dataclass(frozen=True)
class Part:
    """A triangle mesh, shown at K places."""

    vertices: np.ndarray  # [N, 3]
    faces: np.ndarray  # [M, 3] int64
    uvs: np.ndarray | None  # [N, 2] as in glTF
    colors: np.ndarray | None  # [N, 3] in [0, 1], sRGB
    matrices: np.ndarray  # [K, 4, 4]
    normals: np.ndarray | None = None  # [N, 3]
    tangents: np.ndarray | None = None  # [N, 4]
    look: Look = field(default_factory=Look)
    material: tuple[int, str] = (-1, "")  # number in the file, and name


SIZES = {"uvs": 2, "colors": 3, "normals": 3, "tangents": 4}


def read_mesh(on_progress: Callable[[float], None], path: str, colors: bool) -> dict[str, Any]:
    """One joined mesh in the file's own coordinates. See load.load_mesh.

    Args:
        colors: whether a texture is unpacked.

    Returns:
        vertices [N, 3] float32, faces [M, 3] int64; materials [M] int32 and their material_names, where it has several;
        `colors` [N, 3], uvs [N, 2], normals [N, 3], tangents [N, 4] float32, texture [H, W, 3] uint8 or None; maps, a
        dict of such pictures; factors, has_occlusion and unlit of the material; report, a list of lines.
    """
    file = Path(path)
    name, kind, data = file.name, file.suffix.lower(), file.read_bytes()
    on_progress(0.1)
    try:
        parts, found, images, skin = _read(data, kind, file)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # a parser of damaged bytes fails in any way
        if isinstance(error, ValueError) and str(error).startswith(name):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name} cannot be read as {kind[1:].upper()} ({reason}). Export it again.") from error
    parts = [used for part in parts if len(part.faces) for used in [_used(part, name)]]
    if not parts:
        raise ValueError(f"{name} has no faces: there is nothing to paint. Export a mesh with triangles.")
    n_vertices, n_faces = (sum(len(getattr(p, k)) * len(p.matrices) for p in parts) for k in ("vertices", "faces"))
    if n_vertices > MAX_VERTICES or n_faces > MAX_FACES:
        raise ValueError(
            f"{name} has {n_vertices:,} vertices and {n_faces:,} faces; at most {MAX_FACES:,} are read. Simplify it."
        )
    on_progress(0.6)
    texture = None
    if kind == ".glb":
        notes = skin.report
        parts, skin, found = colored(parts, images, colors)
        texture, skin.report = skin.texture, notes + skin.report
    on_progress(0.7)
    mesh, report = _joined(parts, found.is_shared, name)
    on_progress(0.8)
    report += _shape_report(mesh["vertices"], mesh["faces"])
    on_progress(0.9)
    problem = found.problem
    if found.data is not None and mesh["uvs"] is None:
        problem = "it has a picture, but no texture coordinates that say where it goes. Unwrap it"
    elif found.data is not None:
        try:
            texture, said = unpacked(found.data, pixels=colors)
            mesh["colors"] = None  # the picture is what other programs show
            report += [said] if said else []
        except ValueError as error:
            problem = f"its texture is not kept: {error}"
    if problem and colors and mesh["colors"] is None:
        raise ValueError(f"{name}: {problem}. Or turn keep_colors off, to begin in grey.")
    report += [problem] if problem else []
    if skin.maps and mesh["uvs"] is None:
        skin.report.append("not kept: its maps (there are no texture coordinates that say where they go)")
        skin.maps.clear()
    surface = {"maps": skin.maps, "factors": skin.factors, "has_occlusion": skin.has_occlusion, "unlit": skin.unlit}
    return {**mesh, "texture": texture, **surface, "report": report + skin.report}


def _read(data: bytes, kind: str, file: Path) -> tuple[list[Part], Found, dict[int, bytes], Skin]:
    """The checked meshes of a file, the packed pictures of a GLB, and the surface of an OBJ."""
    if kind == ".glb":
        flat = flat_glb(data, file.name, MAX_FACES)
        numbered = [(int(key), mesh) for key, mesh in _meshes(flat.data, kind)]
        parts = [
            replace(
                _glb_part(m, flat.matrices[i], flat.looks[i], flat.is_fraction[i]),
                look=flat.looks[i],
                material=flat.materials[i],
                **flat.directions[i],
            )
            for i, m in numbered
        ]
        return parts, Found(), flat.images, Skin(report=flat.report)
    found, skin = Found(), Skin()
    if kind == ".obj":
        found, skin, placing = skin_of_obj(data, file.parent)
        shape, report = read_obj(data, file.name)
        if shape is not None and shape.uvs is not None:
            shape = replace(shape, uvs=shape.uvs * placing.scale + placing.offset)
        shapes = [] if shape is None else [shape]
        skin.report += report
    elif kind == ".ply":
        shape, found, skin.report = read_ply(data, file.name, file.parent, MAX_FACES)
        shapes = [] if shape is None else [shape]
    else:
        shapes = read_stl(data, file.name, MAX_FACES)
    return [_part(shape) for shape in shapes], found, {}, skin


def _meshes(data: bytes, kind: str) -> list[tuple[str, Any]]:
    trimesh = require("trimesh")
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind[1:], process=False, skip_materials=True)
    return [(key, mesh) for key, mesh in scene.geometry.items() if isinstance(mesh, trimesh.Trimesh)]


def _glb_part(mesh: Any, matrices: np.ndarray, look: Look, is_fraction: bool) -> Part:
    uvs, colors = (mesh.vertex_attributes.get(key) for key in ("_uv", "_color"))
    if colors is not None:
        # glTF says linear light. Writers that give it bytes (trimesh, and what builds on it) put in sRGB all the same
        is_linear, colors = colors.dtype != np.uint8, np.clip(_unit(colors)[:, :3], 0, 1)
        colors = linear_to_srgb(colors) if is_linear else colors
    if uvs is not None:
        uvs = moved_coordinates(_unit(uvs) if is_fraction else np.asarray(uvs, dtype=np.float32), look)
    return Part(np.asarray(mesh.vertices), np.asarray(mesh.faces, dtype=np.int64), uvs, colors, matrices)


def _unit(values: np.ndarray) -> np.ndarray:
    """glTF's numbers as float32; integers are fractions of their largest value."""
    scale = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    return np.asarray(values, dtype=np.float32) / scale


def _part(shape: Shape) -> Part:
    uvs = None if shape.uvs is None else shape.uvs * [1, -1] + [0, 1]
    return Part(shape.vertices, np.asarray(shape.faces, dtype=np.int64), uvs, shape.colors, np.eye(4)[None])


def _used(part: Part, name: str) -> Part:
    """A part without the vertices that no face names: objects of a GLB often share one long list."""
    n = len(part.vertices)
    if part.vertices.shape[1:] != (3,) or part.faces.shape[1:] != (3,):
        got = f"{list(part.vertices.shape)} and {list(part.faces.shape)}"
        raise ValueError(f"{name} is damaged: expected vertices [N, 3] and faces [M, 3], got {got}. Export it again.")
    if part.faces.min() < 0 or part.faces.max() >= n:
        raise ValueError(f"{name} is damaged: a face names a vertex beyond the {n} there are. Export it again.")
    is_used = np.zeros(n, dtype=bool)
    is_used[part.faces] = True
    given = {key: getattr(part, key) for key in SIZES}
    kept = {key: None if x is None or x.shape != (n, SIZES[key]) else x[is_used] for key, x in given.items()}
    return replace(part, vertices=part.vertices[is_used], faces=(np.cumsum(is_used) - 1)[part.faces], **kept)


def _joined(parts: list[Part], uvs_fit: bool, name: str) -> tuple[dict[str, Any], list[str]]:
    """All parts where they are shown, without faces that have no area."""
    n_objects = sum(len(p.matrices) for p in parts)
    report = [f"{n_objects:,} objects joined"] if n_objects > 1 else []
    numbered = sorted({part.material for part in parts})
    vertices, faces, materials, n_before = [], [], [], 0
    for part in parts:
        n, k = len(part.vertices), len(part.matrices)
        placed = part.vertices @ part.matrices[:, :3, :3].transpose(0, 2, 1) + part.matrices[:, None, :3, 3]
        vertices.append(placed.reshape(-1, 3).astype(np.float32))
        own = np.repeat(part.faces[None], k, axis=0)
        mirrored = np.linalg.det(part.matrices[:, :3, :3]) < 0
        own[mirrored] = own[mirrored][..., ::-1]  # their outside stays outside
        faces.append((own + (n_before + n * np.arange(k))[:, None, None]).reshape(-1, 3))
        materials.append(np.full(k * len(own[0]), numbered.index(part.material), dtype=np.int32))
        n_before += n * k

    def of_all(key: str) -> np.ndarray | None:
        if any(getattr(p, key) is None for p in parts):
            return None
        return np.concatenate([np.tile(getattr(p, key), (len(p.matrices), 1)) for p in parts]).astype(np.float32)

    joined, all_faces, material = np.concatenate(vertices), np.concatenate(faces), np.concatenate(materials)
    if not np.isfinite(joined).all():
        n_bad = int((~np.isfinite(joined)).any(-1).sum())
        raise ValueError(f"{name} has {n_bad} vertices that are not finite numbers. Repair it, or export it again.")
    rounding, extent = float(np.spacing(np.abs(joined).max())), float(np.ptp(joined, axis=0).max())
    if rounding > MAX_ROUNDING * extent:
        report.append(
            f"it lies so far from the origin that its coordinates are rounded to {rounding:.2g} of {extent:.2g} units: "
            "move it to the origin before you export it"
        )
    a, b, c = (joined[all_faces[:, k]].astype(np.float64) for k in range(3))
    has_area = (np.cross(b - a, c - a) != 0).any(-1)
    if not has_area.all():
        report.append(f"{int((~has_area).sum()):,} faces without an area dropped")
        all_faces, material = all_faces[has_area], material[has_area]
    if not len(all_faces):
        raise ValueError(f"{name} has no face with an area: there is nothing to paint. Export a mesh with triangles.")
    uvs = of_all("uvs") if uvs_fit else None
    mesh = {"vertices": joined, "faces": all_faces, "colors": of_all("colors"), "uvs": uvs}
    is_several = len(numbered) > 1
    mesh |= {"materials": material if is_several else None}
    mesh |= {"material_names": [name for _, name in numbered] if is_several else []}
    return mesh | {name: _directions(parts, name) for name in ("normals", "tangents")}, report


def _directions(parts: list[Part], name: str) -> np.ndarray | None:
    """The normals or tangents of all parts where they are shown; None if some lack them, or they are not numbers."""
    turned = []
    for part in parts:
        own = getattr(part, name)
        if own is None or not np.isfinite(own).all():
            return None
        for matrix in part.matrices[:, :3, :3]:
            if not np.array_equal(matrix, np.eye(3)):
                vectors = own[:, :3].astype(np.float64)
                with np.errstate(all="ignore"):
                    # cofactors: the inverse transposed without its division, also for what is flat
                    across = np.cross(matrix[[1, 2, 0]], matrix[[2, 0, 1]])
                    side = -1.0 if np.linalg.det(matrix) < 0 else 1.0
                    vectors = vectors @ (across * side if name == "normals" else matrix).T
                    vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)
                if not np.isfinite(vectors).all():
                    return None
                turned.append(np.concatenate([vectors, own[:, 3:] * side], -1).astype(np.float32))
            else:
                turned.append(np.asarray(own, dtype=np.float32))
    return np.concatenate(turned)


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
