"""The faces of a Wavefront OBJ. Its materials are read apart (mtl.py)."""

from __future__ import annotations

import re

import numpy as np

from .corners import Shape, distinct, unit_colors
from .lines import Lines, numbers_of, with_newlines, word_starts
from .polygons import MAX_CORNERS, triangulated

SLASH = ord("/")


def read_obj(data: bytes, name: str) -> tuple[Shape | None, list[str]]:
    """All faces as one shape, and notes about it; None without faces.

    If some corners have texture coordinates, those without get the first ones.

    Args:
        name: of the file, for errors.

    Raises:
        ValueError: a line is damaged, or a face names a vertex that is not there.
    """
    text = with_newlines(data)
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)  # first, as a comment may end in a backslash
    lines = Lines(text.replace(b"\\\n", b" ") if b"\\\n" in text else text)
    vertices, uvs = lines.table(b"v", 3), lines.table(b"vt", 1)
    numbers, counts = _corners(lines)
    if not len(counts):
        return None, []
    sizes = [len(vertices), len(uvs), int(lines.of(b"vn").sum())]
    is_there = [(0 <= own) & (own < size) for own, size in zip(numbers, sizes, strict=True)]
    if not is_there[0].all():
        raise ValueError(
            f"{name} is damaged: a face names a vertex beyond the {len(vertices)} there are. Export it again."
        )
    used, report = [numbers[0]], []
    if is_there[1].any():
        n_lacking = int((~np.logical_and.reduceat(is_there[1], np.cumsum(counts) - counts)).sum())
        report += (
            [f"{n_lacking:,} faces without texture coordinates share one place of the texture"] if n_lacking else []
        )
        used.append(np.where(is_there[1], numbers[1], 0))
    if is_there[2].all():  # hard edges stay apart
        used.append(numbers[2])
    triangles, n_too_large = triangulated(vertices[:, :3], numbers[0], counts)
    report += [fan_note(n_too_large)] if n_too_large else []
    which, vertex = distinct(*used)
    places = vertices[numbers[0][which]]
    shape = Shape(
        places[:, :3],
        vertex[triangles],
        None if not is_there[1].any() else _two_columns(uvs)[used[1][which]],
        unit_colors(places[:, 3:6]) if places.shape[1] >= 6 else None,
    )
    return shape, report


def fan_note(n: int) -> str:
    return f"{n:,} faces have more than {MAX_CORNERS:,} corners: split them into triangles if they look wrong"


def _two_columns(uvs: np.ndarray) -> np.ndarray:
    return uvs[:, :2] if uvs.shape[1] > 1 else np.pad(uvs, ((0, 0), (0, 1)))


def _corners(lines: Lines) -> tuple[list[np.ndarray], np.ndarray]:
    """The numbers, from 0, of the vertex, texture coordinate and normal of all corners, -1 where there is none; and how
    many corners each face has."""
    text, firsts, which = lines.after(b"f")
    if not len(firsts):
        return [], np.zeros(0, dtype=np.int64)
    counts = np.add.reduceat(word_starts(text), firsts, dtype=np.int64)
    which, counts = which[counts > 0], counts[counts > 0]
    packed = text.tobytes()
    n_slashes = np.zeros(int(counts.sum()), dtype=np.int64)
    if b"/" in packed:
        packed = packed.replace(b"//", b"/0/").replace(b"/ ", b"/0 ").replace(b"/\n", b"/0\n")
        text = np.frombuffer(packed, dtype=np.uint8)
        n_slashes = np.add.reduceat(text == SLASH, np.flatnonzero(word_starts(text)), dtype=np.int64)
        packed = packed.replace(b"/", b" ")
    values = numbers_of(packed, np.int64, len(n_slashes) + int(n_slashes.sum()), b"f")
    starts = np.cumsum(n_slashes + 1) - (n_slashes + 1)
    line = np.repeat(which, counts) if (values < 0).any() else None
    found = []
    for k, word in enumerate((b"v", b"vt", b"vn")):
        own = np.zeros(len(starts), dtype=np.int64)
        has = n_slashes >= k
        own[has] = values[starts[has] + k]
        if line is not None and (own < 0).any():  # counted back from the last one above the face
            n_above = np.cumsum(lines.of(word))[line]
            own = np.where(own < 0, np.maximum(own + n_above + 1, 0), own)
        found.append(own - 1)
    return found, counts
