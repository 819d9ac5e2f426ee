"""A triangle mesh with vertex colours, or with a texture, and the other attachments of its surface."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .surface import Surface


@dataclass(frozen=True)
class Mesh:
    """Triangles in the house's world: right-handed, +y up, the front faces +z, same units as the scene.

    Args:
        vertices: [N, 3] float32.
        faces: [M, 3] int64, counter-clockwise seen from outside.
        colors: [N, 3] float32 in [0, 1], sRGB as on a screen, or None.
        uvs: [N, 2] float32 texture coordinates as in glTF: (0, 0) is the upper left corner of the texture, (1, 1) the
            lower right one. A vertex on a seam is there once for each of its places in the texture.
        texture: [H, W, 3] float32 in [0, 1], sRGB, row 0 at the top; only together with uvs.
        unlit: the light is in the colours already, and a viewer should add none.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None = None
    uvs: np.ndarray | None = None
    texture: np.ndarray | None = None
    unlit: bool = False
    surface: Surface = field(default_factory=Surface)

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"Mesh: vertices must be [N, 3], got {list(self.vertices.shape)}.")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(f"Mesh: faces must be [M, 3], got {list(self.faces.shape)}.")
        if self.colors is not None and self.colors.shape != self.vertices.shape:
            raise ValueError(
                f"Mesh: colors must have the shape of vertices {list(self.vertices.shape)}, "
                f"got {list(self.colors.shape)}."
            )
        if self.uvs is not None and self.uvs.shape != (len(self.vertices), 2):
            raise ValueError(f"Mesh: uvs must be [{len(self.vertices)}, 2], got {list(self.uvs.shape)}.")
        self.surface.check(len(self.vertices), len(self.faces))
        if self.texture is not None:
            if self.uvs is None:
                raise ValueError("Mesh: a texture needs uvs.")
            if self.texture.ndim != 3 or self.texture.shape[2] != 3:
                raise ValueError(f"Mesh: texture must be [H, W, 3], got {list(self.texture.shape)}.")

    def vertex_normals(self) -> np.ndarray:
        """Unit normals [N, 3], the area-weighted mean of the faces around each vertex.

        The copies of a vertex on a seam of the texture share one normal: the surface continues there.
        """
        a, b, c = (self.vertices[self.faces[:, k]].astype(np.float64) for k in range(3))
        face = np.cross(b - a, c - a)
        normals = np.zeros(self.vertices.shape)
        place = np.arange(len(self.vertices)) if self.uvs is None else places(self.vertices)
        for k in range(3):
            np.add.at(normals, place[self.faces[:, k]], face)
        normals = normals[place]
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        cancelled = (length[self.faces] <= 1e-20)[..., 0]  # as of two faces back to back: one of them counts
        face /= np.maximum(np.linalg.norm(face, axis=-1, keepdims=True), 1e-20)
        normals = normals / np.maximum(length, 1e-20)
        for k in range(3):
            normals[self.faces[cancelled[:, k], k]] = face[cancelled[:, k]]
        return normals.astype(np.float32)


def places(vertices: np.ndarray) -> np.ndarray:
    """For each vertex [N] the first one at the same place.

    np.unique would sort rows, during which no other thread of the host runs.
    """
    order = np.lexsort(vertices.T)
    moved = (np.diff(vertices[order], axis=0) != 0).any(1)
    group = np.concatenate([[0], np.cumsum(moved)])[: len(order)]
    starts = np.flatnonzero(np.concatenate([[True], moved])[: len(order)])
    first = np.empty(len(vertices), dtype=np.int64)
    first[order] = order[starts][group]
    return first
