"""Agreement of a 3D scene with the true solid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..mesh.isosurface import scene_device
from ..mesh.mesh import Mesh
from ..scenes.base import Scene3D


@torch.no_grad()
def occupancy_iou(
    scene: Scene3D,
    threshold: float,  # the density at which the mesh is extracted
    inside: Callable[[Tensor], Tensor],  # points [N, 3] -> bool [N], the true solid
    resolution: int = 64,
) -> float:
    """Intersection over union of {density > threshold}, with enclosed holes filled, and the true solid.

    Holes are filled because a field that was only ever seen from outside may be hollow, and its mesh
    is then the same.
    """
    from scipy.ndimage import binary_fill_holes

    axis = torch.linspace(-scene.bound, scene.bound, resolution)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(-1, 3)
    device = scene_device(scene)
    density = torch.cat([scene.density(p.to(device)).cpu() for p in points.split(65536)])
    solid = torch.from_numpy(binary_fill_holes((density > threshold).view((resolution,) * 3).numpy()))
    truth = inside(points).view_as(solid)
    return float((solid & truth).sum() / (solid | truth).sum().clamp(min=1))


def mesh_occupancy_iou(
    mesh: Mesh,  # closed
    bound: float,
    inside: Callable[[Tensor], Tensor],  # points [N, 3] -> bool [N], the true solid
    resolution: int = 64,
) -> float:
    """The same for the solid that a mesh encloses: points from which a ray along z crosses it an odd number of
    times."""
    axis = (torch.arange(resolution) + 0.5) / resolution * 2 * bound - bound
    # rays that run along an edge or through a vertex would count it twice
    x, y = axis + 1.7e-5 * bound, axis + 2.3e-5 * bound
    crossed = torch.zeros(resolution, resolution, resolution, dtype=torch.int64)
    for corner in torch.from_numpy(mesh.vertices[mesh.faces].astype(np.float64)):
        low, high = corner.amin(0), corner.amax(0)
        columns = [((a >= low[k]) & (a <= high[k])).nonzero()[:, 0] for k, a in enumerate((x, y))]
        if not len(columns[0]) or not len(columns[1]):
            continue
        i, j = (part.flatten() for part in torch.meshgrid(*columns, indexing="ij"))
        place = torch.stack([x[i], y[j]], -1).double() - corner[0, :2]
        (ax, ay), (bx, by) = (corner[1:, :2] - corner[0, :2]).tolist()
        area = ax * by - ay * bx
        if area == 0:
            continue
        u, v = (place[:, 0] * by - place[:, 1] * bx) / area, (place[:, 1] * ax - place[:, 0] * ay) / area
        hit = (u >= 0) & (v >= 0) & (u + v <= 1)
        z = corner[0, 2] + u * (corner[1, 2] - corner[0, 2]) + v * (corner[2, 2] - corner[0, 2])
        crossed[i[hit], j[hit]] += axis > z[hit, None]
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(-1, 3)
    solid, truth = crossed % 2 == 1, inside(points).view_as(crossed)
    return float((solid & truth).sum() / (solid | truth).sum().clamp(min=1))
