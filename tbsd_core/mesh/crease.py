"""Normals for files: smooth where a surface is, sharp at its edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .mesh import Mesh, places
from .normals import CREASE


def with_normals(mesh: Mesh, crease: float = CREASE) -> Mesh:
    """The mesh with a normal at each vertex: its own, or new ones.

    The new ones continue over the seams of a texture. Where light falls on the mesh, edges that fold by more than
    `crease` degrees stay sharp, and vertices on them are there once for each side. Without light all is smooth, and the
    vertices stay as they are.
    """
    if mesh.surface.normals is not None:
        return mesh
    if mesh.unlit or not len(mesh.faces):
        return replace(mesh, surface=replace(mesh.surface, normals=mesh.vertex_normals(), tangents=None))
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.cross(b - a, c - a)
    group = _sides(places(mesh.vertices)[mesh.faces], area, crease)
    sums = np.zeros((len(group), 3))
    for axis in range(3):
        sums[:, axis] = np.bincount(group, weights=area[:, axis].repeat(3), minlength=len(group))
    length = np.linalg.norm(sums, axis=-1, keepdims=True)
    own = area.repeat(3, axis=0) / np.maximum(np.linalg.norm(area, axis=-1), 1e-30).repeat(3)[:, None]
    at_corner = np.where(length > 1e-30, sums / np.maximum(length, 1e-30), own)[group]
    # a vertex for each pair of an old one and a side
    old, key = mesh.faces.reshape(-1), mesh.faces.reshape(-1) * len(group) + group
    order = np.argsort(key, kind="stable")
    is_first = np.concatenate([[True], np.diff(key[order]) != 0])
    first = order[is_first]  # a corner of each new vertex
    new = np.empty(len(order), dtype=np.int64)
    new[order] = np.cumsum(is_first) - 1
    source = old[first]
    surface = replace(mesh.surface, normals=at_corner[first].astype(np.float32), tangents=None)
    return Mesh(
        mesh.vertices[source],
        new.reshape(-1, 3),
        None if mesh.colors is None else mesh.colors[source],
        None if mesh.uvs is None else mesh.uvs[source],
        mesh.texture,
        mesh.unlit,
        surface,
    )


def _sides(faces: np.ndarray, area: np.ndarray, crease: float) -> np.ndarray:
    """For each corner [3 M] a number that it shares with the corners at its vertex that smooth edges lead to.

    Args:
        faces: [M, 3], with one number for each place. area: [M, 3], normals as long as faces are large.
    """
    start, end = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.lexsort((high, low))
    edge = np.cumsum(np.concatenate([[0], (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)]))
    count = np.bincount(edge)
    first = (np.cumsum(count) - count)[count == 2]  # of edges of two faces; others are not smooth
    left, right = order[first], order[first + 1]  # half edges: the corner that each begins at
    unit = area / np.maximum(np.linalg.norm(area, axis=-1, keepdims=True), 1e-30)
    alike = np.einsum("ij,ij->i", unit[left // 3], unit[right // 3]) > np.cos(np.radians(crease))
    alike &= start[left] == end[right]  # faces of one orientation
    left, right = left[alike], right[alike]
    one, other = np.concatenate([left, _after(left)]), np.concatenate([_after(right), right])
    group = np.arange(3 * len(faces))
    while True:  # the least number spreads around each vertex
        least = np.minimum(group[one], group[other])
        before = group.copy()
        np.minimum.at(group, one, least)
        np.minimum.at(group, other, least)
        group = group[group]
        if np.array_equal(group, before):
            return group


def _after(corner: np.ndarray) -> np.ndarray:
    """The next corner of the same face."""
    return corner - corner % 3 + (corner + 1) % 3
