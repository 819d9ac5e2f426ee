"""The calls into compiled packages, which run in the child process (see native.tasks)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..optional import require

Progress = Callable[[float], None]


def nearest(
    on_progress: Progress,
    known: np.ndarray,  # [H, W] bool
) -> dict[str, Any]:
    """The nearest known texel for every texel of a texture: index [H, W] int32, row * W + column."""
    ndimage = require("scipy.ndimage", "scipy")
    row, column = ndimage.distance_transform_edt(~known.astype(bool), return_distances=False, return_indices=True)
    row *= known.shape[1]
    row += column
    return {"index": row}


def nearest_points(
    on_progress: Progress,
    points: np.ndarray,  # [N, 3]
    others: np.ndarray,  # [M, 3]
    at_most: float,
) -> dict[str, Any]:
    """The nearest of the other points for every point: distance [N] float32 and index [N] int64; infinity and M if it
    is farther than `at_most`."""
    spatial = require("scipy.spatial", "scipy")
    distance, index = spatial.cKDTree(others).query(points, distance_upper_bound=at_most)
    return {"distance": distance.astype(np.float32), "index": index.astype(np.int64)}


def parts(
    on_progress: Progress,
    faces: np.ndarray,  # [M, 3] of vertices, one for each place
    n_vertices: int,
) -> dict[str, Any]:
    """Which connected part every face belongs to: part [M] int64, in no order."""
    sparse = require("scipy.sparse", "scipy")
    csgraph = require("scipy.sparse.csgraph", "scipy")
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(edges), dtype=np.int8), edges.T), shape=(n_vertices, n_vertices))
    _, part = csgraph.connected_components(graph, directed=False)
    return {"part": part[faces[:, 0]].astype(np.int64)}


def simplify(on_progress: Progress, vertices: np.ndarray, faces: np.ndarray, n_faces: int) -> dict[str, Any]:
    """About n_faces triangles for the same surface: vertices [N, 3] float32, faces [M, 3]."""
    simplifier = require("fast_simplification", "fast-simplification")
    low, high = vertices.min(0), vertices.max(0)
    vertices, faces = simplifier.simplify(vertices.astype(np.float64), faces.astype(np.int32), target_count=n_faces)
    # a quadric's optimum may lie outside where the surface is nearly flat
    vertices, faces = cleaned(np.clip(vertices, low, high).astype(np.float32), faces.astype(np.int64))
    return {"vertices": vertices, "faces": faces}


def cleaned(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without triangles that use a vertex twice, without folds (two triangles of the same three vertices, back to
    back: dropping one of them would tear a hole), and without vertices that nothing uses."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, which, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
    faces = faces[count[which.reshape(-1)] == 1]
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3)


def surface(on_progress: Progress, volume: np.ndarray, level: float, keep_fraction: float) -> dict[str, Any]:
    """Marching cubes in a volume [X, Y, Z], in units of its cells: vertices [N, 3] float32, faces [M, 3] int64."""
    measure = require("skimage.measure", "scikit-image")
    # skimage names the direction for arrays indexed z, y, x; ours is x, y, z, a mirror image, so "ascent" is the one
    # that makes triangles around high values counter-clockwise seen from outside
    vertices, faces, _, _ = measure.marching_cubes(volume, level=level, gradient_direction="ascent")
    vertices, faces = vertices.astype(np.float32), faces.astype(np.int64)
    if keep_fraction > 0:
        vertices, faces = keep_largest(vertices, faces, keep_fraction)
    return {"vertices": vertices, "faces": faces}


def keep_largest(vertices: np.ndarray, faces: np.ndarray, keep_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Drop separate pieces whose enclosed volume is below keep_fraction of the largest piece's.

    Walls of inner cavities enclose a negative volume and are dropped with the floaters.
    """
    sparse = require("scipy.sparse", "scipy")
    csgraph = require("scipy.sparse.csgraph", "scipy")
    n = len(vertices)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(edges), dtype=np.int8), edges.T), shape=(n, n))
    n_pieces, piece = csgraph.connected_components(graph, directed=False)
    corners = vertices[faces].astype(np.float64)
    signed = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    piece_of_face = piece[faces[:, 0]]
    volume = np.bincount(piece_of_face, weights=signed, minlength=n_pieces)
    faces = faces[(volume >= max(keep_fraction, 1e-12) * volume.max())[piece_of_face]]
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used], inverse.reshape(faces.shape)
