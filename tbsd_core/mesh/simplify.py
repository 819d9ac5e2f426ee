"""Fewer triangles for the same surface, by quadric edge collapse (Garland and Heckbert 1997)."""

from __future__ import annotations

import numpy as np

from ..optional import require
from .mesh import Mesh

SIMPLIFIER = "fast_simplification"


def simplify(mesh: Mesh, n_faces: int) -> Mesh:
    """About n_faces triangles, never more than there were, within the bounding box of the original.

    Vertices move, so colours, uvs and texture are not kept: take them from the scene anew.

    Raises:
        ImportError: fast-simplification is missing; with its pip line.
        ValueError: n_faces < 1, a mesh without faces, or one that no triangle is left of.
    """
    if n_faces < 1:
        raise ValueError(f"simplify: n_faces must be at least 1, got {n_faces}.")
    if len(mesh.faces) == 0:
        raise ValueError("Cannot simplify a mesh without faces.")
    if len(mesh.faces) <= n_faces:
        return Mesh(mesh.vertices, mesh.faces)
    simplifier = require(SIMPLIFIER, "fast-simplification")
    vertices, faces = simplifier.simplify(
        mesh.vertices.astype(np.float64), mesh.faces.astype(np.int32), target_count=n_faces
    )
    # a quadric's optimum may lie outside where the surface is nearly flat
    vertices = np.clip(vertices, mesh.vertices.min(0), mesh.vertices.max(0)).astype(np.float32)
    vertices, faces = cleaned(vertices, faces.astype(np.int64))
    if len(faces) == 0:
        raise ValueError(
            f"No triangle is left of {len(mesh.faces):,} after decimation to {n_faces:,}. Ask for more faces, or for 0 "
            "to keep them all."
        )
    return Mesh(vertices, faces)


def cleaned(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without triangles that use a vertex twice, without folds (two triangles of the same three vertices, back to
    back: dropping one of them would tear a hole), and without vertices that nothing uses."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, which, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
    faces = faces[count[which.reshape(-1)] == 1]
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3)


def edge_defects(faces: np.ndarray) -> tuple[int, int]:
    """How many edges have one face (a hole's rim) and how many have more than two (not a surface there)."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    return int((count == 1).sum()), int((count > 2).sum())
