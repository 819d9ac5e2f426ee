"""Normals for shading: smooth where a surface is, sharp at its edges. For large meshes a task of the child process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

CREASE = 40.0  # degrees: edges that fold more than this stay sharp
MAX_AROUND, SAMPLE = 256, 64  # with more faces around a vertex so many are looked at; a fan may have a million
CHUNK = 1 << 20  # pairs of a corner and a face around it, at once


def corner_normals(
    vertices: np.ndarray,  # [N, 3]
    faces: np.ndarray,  # [M, 3]
    crease: float = CREASE,
    on_progress: Callable[[float], None] = lambda done: None,
) -> np.ndarray:
    """Unit normals [M, 3, 3] at the corners of the faces: means over the faces around the vertex, weighted by area,
    of those that fold away by less than `crease` degrees. Curved surfaces look smooth and edges stay sharp."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    area = np.cross(b - a, c - a)
    unit = area / np.maximum(np.linalg.norm(area, axis=-1, keepdims=True), 1e-20)
    vertex = faces.reshape(-1)
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex, minlength=len(vertices))
    first = np.cumsum(count) - count  # in order
    n_around = np.where(count > MAX_AROUND, SAMPLE, count)[vertex]
    done = np.cumsum(n_around)
    cuts = [*np.searchsorted(done, np.arange(0, done[-1], CHUNK), side="right"), len(vertex)]
    total = np.zeros((len(vertex), 3))
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):
        own, n = vertex[low:high], n_around[low:high]
        mine = np.repeat(np.arange(high - low), n)
        which = np.arange(len(mine)) - np.repeat(np.cumsum(n) - n, n)
        if (count[own] > n).any():  # evenly spread over those there are
            which = which * np.repeat(count[own], n) // np.repeat(n, n)
        other = order[np.repeat(first[own], n) + which] // 3
        alike = np.einsum("ij,ij->i", unit[(low + mine) // 3], unit[other]) > np.cos(np.radians(crease))
        mine, other = mine[alike], other[alike]
        for axis in range(3):
            total[low:high, axis] = np.bincount(mine, weights=area[other, axis], minlength=high - low)
        on_progress(high / len(vertex))
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    total = np.where(length > 1e-20, total / np.maximum(length, 1e-20), unit.repeat(3, axis=0))
    return total.reshape(-1, 3, 3).astype(np.float32)


def corner_normals_task(
    on_progress: Callable[[float], None], vertices: np.ndarray, faces: np.ndarray
) -> dict[str, Any]:
    return {"normals": corner_normals(vertices, faces, on_progress=on_progress)}
