"""Checks of a mesh before it is painted or written."""

from __future__ import annotations

import numpy as np

from .mesh import Mesh

FIX = "Repair the mesh in the program or node that it comes from."


def check_faces(mesh: Mesh) -> None:
    """Raise ValueError for a mesh that no format can hold: it has no faces, faces of missing vertices, or corners that
    are not finite."""
    n = len(mesh.vertices)
    if len(mesh.faces) == 0:
        raise ValueError(f"The mesh has {n} vertices and no faces: it is empty. {FIX}")
    if mesh.faces.min() < 0 or mesh.faces.max() >= n:
        wrong = int(mesh.faces.min() if mesh.faces.min() < 0 else mesh.faces.max())
        raise ValueError(f"The mesh is damaged: a face names vertex {wrong}, and there are {n}. {FIX}")
    broken = int((~np.isfinite(mesh.vertices[mesh.faces])).any((1, 2)).sum())
    if broken:
        raise ValueError(f"{broken} of the mesh's {len(mesh.faces)} faces have corners that are not finite. {FIX}")


def check_mesh(mesh: Mesh) -> None:
    """Raise ValueError for a mesh that cannot be painted, saying why and what to do."""
    check_faces(mesh)
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    if not (np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) != 0).any():
        raise ValueError(f"No face of the mesh has an area: its vertices are in one place or on one line. {FIX}")
