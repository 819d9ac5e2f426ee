"""Fewer triangles for the same surface, by quadric edge collapse (Garland and Heckbert 1997)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..native import run_native
from .mesh import Mesh

SIMPLIFIER = "fast_simplification"


def simplify(mesh: Mesh, n_faces: int, on_wait: Callable[[float], None] = lambda done: None) -> Mesh:
    """About n_faces triangles, never more than there were, within the bounding box of the original.

    Vertices move, so colours, uvs and texture are not kept: take them from the scene anew.

    Raises:
        ImportError: fast-simplification is missing; with its pip line.
        ValueError: n_faces < 1, a mesh without faces, or one that no triangle is left of.
        NativeFailure: the simplifier crashed, or took too much time or memory.
    """
    if n_faces < 1:
        raise ValueError(f"simplify: n_faces must be at least 1, got {n_faces}.")
    if len(mesh.faces) == 0:
        raise ValueError("Cannot simplify a mesh without faces.")
    if len(mesh.faces) <= n_faces:
        return Mesh(mesh.vertices, mesh.faces)
    inputs = {"vertices": mesh.vertices, "faces": mesh.faces, "n_faces": n_faces}
    fewer = run_native("simplify", inputs, on_wait=on_wait)
    if len(fewer["faces"]) == 0:
        raise ValueError(
            f"No triangle is left of {len(mesh.faces):,} after decimation to {n_faces:,}. Ask for more faces, or for 0 "
            "to keep them all."
        )
    return Mesh(fewer["vertices"], fewer["faces"])


def edge_defects(faces: np.ndarray) -> tuple[int, int]:
    """How many edges have one face (a hole's rim) and how many have more than two (not a surface there)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    # one number an edge: sorting numbers leaves the interpreter to other threads, sorting rows does not
    keys = np.sort(edges.max(1) * (int(faces.max(initial=0)) + 1) + edges.min(1))
    count = np.diff(np.flatnonzero(np.diff(keys, prepend=-1, append=-1)))
    return int((count == 1).sum()), int((count > 2).sum())
