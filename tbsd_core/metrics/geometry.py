"""Agreement of a 3D scene with the true solid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..mesh.isosurface import scene_device
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
