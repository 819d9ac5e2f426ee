"""Where the texels of a mesh's texture lie on its surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..native import run_native
from ..renderer.rasterize import Fragments
from .mesh import Mesh
from .uv import texel_bands


@dataclass(frozen=True)
class Texels:
    """The K texels that show the surface, row by row.

    Args:
        known: [H, W] bool, which they are.
        points, normals: [K, 3] in the scene; normals are unit vectors.
        face: [K] int64.
    """

    known: Tensor
    points: Tensor
    normals: Tensor
    face: Tensor


def texels_of(
    mesh: Mesh,  # with uvs that do not overlap
    corner_normals: Tensor,  # [M, 3, 3]
    height: int,
    width: int,
) -> Texels:
    """All texels of a texture of this size, on the CPU.

    Raises:
        ValueError: the mesh has no uvs, or no texel lies on it.
    """
    corners = torch.from_numpy(mesh.vertices)[torch.from_numpy(mesh.faces)]
    known, points, normals, face = torch.zeros(height, width, dtype=torch.bool), [], [], []
    for rows, shown, fragments in texel_bands(mesh, height, width):
        known[rows] = shown
        points.append(interpolated(corners, fragments, shown))
        normals.append(F.normalize(interpolated(corner_normals, fragments, shown), dim=-1))
        face.append(fragments.face[0][shown])
    if not bool(known.any()):
        raise ValueError(f"No texel of a texture of {width} x {height} lies on the surface; use a larger texture.")
    return Texels(known, torch.cat(points), torch.cat(normals), torch.cat(face))


def interpolated(
    corners: Tensor,  # [M, 3, C] values at the corners of faces
    fragments: Fragments,  # of one picture
    which: Tensor,  # [H, W] bool, some of those that see a face
) -> Tensor:
    """Values [K, C] at these places."""
    face, weights = fragments.face[0][which], fragments.barycentric[0][which]
    return (corners[face] * weights[..., None]).sum(1)


def nearest_known(
    known: Tensor,  # [H, W] bool
    on_wait: Callable[[float], None] = lambda done: None,
) -> Tensor:
    """For every texel the nearest known one, [H, W] int64, row * W + column. Raises NativeFailure as run_native."""
    index = run_native("nearest", {"known": known.cpu().numpy()}, on_wait=on_wait)["index"]
    return torch.from_numpy(index).long()
