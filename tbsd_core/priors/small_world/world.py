"""Rendering of the small world with ground truth: lit objects in front of one soft background.

Diffuse shading under one light fixed in the world: nothing depends on the viewer, so a field of
position-dependent colour can reproduce every view exactly and "right" has a meaning in 3D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...cameras.pose import Cameras
from ...cameras.rays import camera_rays
from ...cameras.sampling import VIEW_NAMES, view_name
from .materials import albedo
from .shapes import SHAPES, normals

BACKGROUND = (0.84, 0.86, 0.89)
CAMERA_DISTANCE = 3.0
FOV_Y = 36.0  # degrees; the unit ball fits into the image
LIGHT = (0.50, 0.72, 0.48)
IMAGE_SIZE = 64
VIEWS = VIEW_NAMES
view_of = view_name  # the small world's captions use the house's words for views


@dataclass(frozen=True)
class Truth:
    """Ground truth of one object seen by B cameras: images [B,3,H,W], mask and depth [B,1,H,W]."""

    images: Tensor
    mask: Tensor
    depth: Tensor


def view_cameras(azimuth: Tensor, elevation: Tensor) -> Cameras:
    """Cameras of the world's own distance and field of view at angles [B] in degrees."""
    ones = torch.ones_like(azimuth)
    return Cameras(azimuth, elevation, CAMERA_DISTANCE * ones, FOV_Y * ones)


def shade(n: Tensor) -> Tensor:
    """Irradiance factor [N] of unit normals [N, 3]: ambient plus one directional light."""
    light = F.normalize(torch.tensor(LIGHT, dtype=n.dtype, device=n.device), dim=0)
    return 0.55 + 0.5 * (n @ light).clamp(min=0)


def occupancy(shape: str, p: Tensor) -> Tensor:
    """True where points [N, 3] lie inside the object."""
    return SHAPES[shape](p) < 0


@torch.no_grad()
def trace(shape: str, rays_o: Tensor, rays_d: Tensor, max_steps: int = 64) -> tuple[Tensor, Tensor]:
    """Sphere-trace rays [R, 3] inside the unit ball.

    Returns:
        hit [R] bool and the distance along the ray [R] (0 where nothing was hit).
    """
    sdf = SHAPES[shape]
    b = (rays_o * rays_d).sum(-1)
    disc = b * b - (rays_o * rays_o).sum(-1) + 1.0
    index = (disc > 0).nonzero()[:, 0]
    root = disc[index].sqrt()
    t, t_end = -b[index] - root, -b[index] + root
    o, d = rays_o[index], rays_d[index]
    hit = torch.zeros(len(rays_o), dtype=torch.bool, device=rays_o.device)
    distance = torch.zeros(len(rays_o), dtype=rays_o.dtype, device=rays_o.device)
    for _ in range(max_steps):
        if len(index) == 0:
            break
        step = sdf(o + d * t[:, None])
        t = t + step * 0.95
        reached = step < 2e-3
        hit[index[reached]] = True
        distance[index[reached]] = t[reached]
        alive = ~reached & (t < t_end)
        index, t, t_end, o, d = index[alive], t[alive], t_end[alive], o[alive], d[alive]
    return hit, distance


@torch.no_grad()
def render_materials(
    shape: str,
    materials: list[str],
    cameras: Cameras,
    size: int = IMAGE_SIZE,
    supersample: int = 2,
) -> tuple[Tensor, Tensor, Tensor]:
    """Render one shape in several materials, tracing it only once.

    Returns:
        images [M, B, 3, size, size] in [0, 1], mask and depth [B, 1, size, size].
    """
    full = size * supersample
    rays_o, rays_d = (r.reshape(-1, 3) for r in camera_rays(cameras, full, full))
    hit, distance = trace(shape, rays_o, rays_d)
    p = rays_o[hit] + rays_d[hit] * distance[hit][:, None]
    n = normals(shape, p)
    n_views = len(cameras)
    background = torch.tensor(BACKGROUND, device=p.device)
    images = []
    for material in materials:
        flat = background.repeat(len(hit), 1)
        flat[hit] = (albedo(shape, material, p, n) * shade(n)[:, None]).clamp(0, 1)
        images.append(F.avg_pool2d(flat.view(n_views, full, full, 3).permute(0, 3, 1, 2), supersample))
    mask = F.avg_pool2d(hit.view(n_views, 1, full, full).float(), supersample)
    depth = F.avg_pool2d(distance.view(n_views, 1, full, full), supersample) / mask.clamp(min=1e-6)
    return torch.stack(images), mask, depth


def render_truth(shape: str, material: str, cameras: Cameras, size: int = IMAGE_SIZE) -> Truth:
    """Ground truth of one object: what a perfect result looks like from `cameras`."""
    images, mask, depth = render_materials(shape, [material], cameras, size)
    return Truth(images[0], mask, depth)
