"""Vertices of corners: files name a place, and apart from it a texture coordinate, for each corner of a face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shape:
    """Triangles of a file that has no transforms."""

    vertices: np.ndarray  # [N, 3]
    faces: np.ndarray  # [M, 3]
    uvs: np.ndarray | None = None  # [N, 2], v from below
    colors: np.ndarray | None = None  # [N, 3] in [0, 1], sRGB


def distinct(*numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners [C] with the same numbers become one vertex.

    Returns:
        a corner of each vertex [N], in the order of the first numbers; the vertex of each corner [C].
    """
    key = numbers[0]
    for more in numbers[1:]:
        if np.array_equal(more, numbers[0]):
            continue
        n = int(more.max(initial=0)) + 1
        if int(key.max(initial=0)) >= (1 << 62) // n:
            key = np.unique(key, return_inverse=True)[1]
        key = key * n + more
    n = int(key.max(initial=0)) + 1
    if n > 8 * len(key):
        _, which, vertex = np.unique(key, return_index=True, return_inverse=True)
        return which, vertex
    which = np.full(n, -1)
    which[key[::-1]] = np.arange(len(key))[::-1]
    is_there = which >= 0
    return which[is_there], (np.cumsum(is_there) - 1)[key]


def unit_colors(colors: np.ndarray) -> np.ndarray | None:
    """Colours of any numbers as float32 in [0, 1]; None if some are not numbers. Writers give 8 bits also as floats and
    as larger integers."""
    if not np.isfinite(colors).all():
        return None
    most = colors.max(initial=0)
    if colors.dtype.kind == "f":
        scale = 1 if most <= 1 else 255
    else:
        scale = 255 if most <= 255 else np.iinfo(colors.dtype).max
    return np.clip(colors.astype(np.float32) / scale, 0, 1)
