"""Which samples are worth evaluating: not in empty space, and not behind a surface.

The answer is computed from the field at every render and nothing is remembered between steps, so a
resumed run continues exactly, and nothing has to be kept in step with the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_ALPHA = 1e-3  # an interval that absorbs less is empty
MIN_TRANSMITTANCE = 1e-3  # nothing behind this much light is seen


@dataclass(frozen=True)
class CoarseDensity:
    """A field's density around each point of a grid over [-bound, bound]^3, indexed x, y, z.

    Args:
        high, low: [resolution^3], the largest and the smallest of the 27 values around the point.
    """

    high: Tensor
    low: Tensor
    bound: float
    resolution: int


@torch.no_grad()
def coarse_density(
    density: Callable[[Tensor], Tensor],  # [N, 3] -> [N]
    bound: float,
    resolution: int,  # points along each axis
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> CoarseDensity:
    """Read the density on the grid."""
    axis = torch.linspace(-bound, bound, resolution, dtype=dtype, device=device)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    volume = density(grid).view(1, 1, resolution, resolution, resolution)
    high = F.max_pool3d(volume, 3, stride=1, padding=1).flatten()
    low = -F.max_pool3d(-volume, 3, stride=1, padding=1).flatten()
    return CoarseDensity(high, low, bound, resolution)


@torch.no_grad()
def visible_samples(
    coarse: CoarseDensity | None,
    rays_o: Tensor,  # [R, 3]
    rays_d: Tensor,  # [R, 3]
    t: Tensor,  # [R, S]
    t_starts: Tensor,  # [R, S]
    t_ends: Tensor,  # [R, S]
) -> Tensor:
    """Indices [K] into the flattened [R, S] samples that can contribute to the image.

    A sample is dropped when the largest value around it is empty, or when the smallest values before it
    already block the ray; both err on the side of keeping. Without a grid every sample of an interval
    that is not empty is kept.
    """
    delta = t_ends - t_starts
    if coarse is None:
        return (delta > 0).flatten().nonzero()[:, 0]
    resolution = coarse.resolution
    scale = (resolution - 1) / (2 * coarse.bound)
    o, d = (rays_o + coarse.bound) * scale + 0.5, rays_d * scale
    cell = torch.zeros(t.shape, dtype=torch.int32, device=t.device)
    for k in range(3):
        cell = cell * resolution + (o[:, k, None] + d[:, k, None] * t).int().clamp(0, resolution - 1)
    cell = cell.flatten()
    blocked = (coarse.low.index_select(0, cell).view_as(t) * delta).cumsum(-1)
    before = F.pad(blocked[:, :-1], (1, 0))
    occupied = coarse.high.index_select(0, cell).view_as(t) * delta > MIN_ALPHA
    return (occupied & (before < -math.log(MIN_TRANSMITTANCE))).flatten().nonzero()[:, 0]
