"""The faces of a PLY file, and the picture that it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .corners import Shape, distinct, unit_colors
from .obj_read import fan_note
from .pictures import SEVERAL, Found, beside
from .ply_rows import Columns, Lists, Rows, header_of
from .polygons import triangulated

MAX_HEADER = 1 << 20
FACES = ("vertex_indices", "vertex_index")
COORDINATES = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"))  # of vertices, as programs name them
PICTURE = "texnumber"


def read_ply(data: bytes, name: str, folder: Path, most: int) -> tuple[Shape | None, Found, list[str]]:
    """All faces as one shape, None without faces; their picture, and notes.

    Args:
        name: of the file, for errors.
        folder: where pictures are.
        most: faces that are read; three times as many elements of one kind may be declared.

    Raises:
        ValueError: it is damaged or too large.
    """
    try:
        header = header_of(data, MAX_HEADER)
        declared = max((x.n_rows for x in header.elements), default=0)
        if declared <= 3 * most:
            rows, found = Rows(data, header), {}
            for element in header.elements:
                found[element.name] = rows.columns(element)
                if {"vertex", "face"} <= found.keys():
                    break
            return _shape(found.get("vertex", {}), found.get("face", {}), header.pictures, folder)
    except ValueError as error:
        raise ValueError(f"{name} is damaged: {error}. Export it again.") from error
    raise ValueError(f"{name} declares {declared} elements; at most {most} faces are read. Simplify it first.")


def _shape(
    vertex: Columns, face: Columns, pictures: list[bytes], folder: Path
) -> tuple[Shape | None, Found, list[str]]:
    missing = [axis for axis in "xyz" if not isinstance(vertex.get(axis), np.ndarray)]
    lists = {name: own for name, own in face.items() if isinstance(own, Lists)}
    faces = next((lists[name] for name in FACES if name in lists), None)
    if faces is None and len(lists) == 1:
        faces = next(iter(lists.values()))
    if faces is None or not len(faces.counts):
        return None, Found(), []
    if missing:
        raise ValueError(f"its vertices have no {', '.join(missing)}")
    places = _together(vertex, "xyz")
    corners = faces.values.astype(np.int64)
    if len(corners) and not (0 <= corners.min() and corners.max() < len(places)):
        raise ValueError(f"a face names a vertex beyond the {len(places)} there are")
    triangles, n_too_large = triangulated(places, corners, faces.counts)
    colors = [vertex.get(name) for name in ("red", "green", "blue")]
    shades = unit_colors(np.stack(colors, -1)) if all(isinstance(own, np.ndarray) for own in colors) else None  # type: ignore[arg-type]
    report = [fan_note(n_too_large)] if n_too_large else []
    own = lists.get("texcoord")
    picture = _picture(pictures, face.get(PICTURE), folder)
    if own is not None and np.array_equal(own.counts, 2 * faces.counts):
        uvs = own.values.reshape(-1, 2).astype(np.float32) + 0.0  # one zero, where there are two
        number = np.unique(np.ascontiguousarray(uvs).view(np.uint64), return_inverse=True)[1].reshape(-1)
        which, corner = distinct(corners, number)
        kept = corners[which]
        shape = Shape(places[kept], corner[triangles], uvs[which], None if shades is None else shades[kept])
        return shape, picture, report
    pair = next((pair for pair in COORDINATES if all(isinstance(vertex.get(name), np.ndarray) for name in pair)), None)
    return Shape(places, corners[triangles], _together(vertex, pair) if pair else None, shades), picture, report


def _together(columns: Columns, names: tuple[str, ...] | str) -> np.ndarray:
    return np.stack([np.asarray(columns[name], dtype=np.float64) for name in names], -1)


def _picture(pictures: list[bytes], numbers: np.ndarray | Lists | None, folder: Path) -> Found:
    """The picture that all faces have; without numbers of pictures, the only one."""
    names = list(dict.fromkeys(pictures))
    if len(names) > 1:
        used = np.unique(numbers) if isinstance(numbers, np.ndarray) else np.zeros(0)
        if len(used) != 1 or not 0 <= used[0] < len(pictures):
            return SEVERAL
        names = [pictures[int(used[0])]]
    try:
        return Found(beside(folder, names[0])) if names else Found()
    except ValueError as error:
        return Found(problem=str(error))
