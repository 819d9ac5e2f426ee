"""Which samples are worth evaluating: not in empty space, and not behind a surface.

The answer is computed from the field at every render and nothing is remembered between steps, so a
resumed run continues exactly, and nothing has to be kept in step with the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_ALPHA = 1e-3  # an interval that absorbs less is empty
MIN_TRANSMITTANCE = 1e-3  # nothing behind this much light is seen
PIECE = 2**20  # points that are evaluated at once


@dataclass(frozen=True)
class CoarseDensity:
    """A field's density around each point of a grid over [-bound, bound]^3, indexed x, y, z.

    Args:
        extremes: [2, resolution^3], the largest of the 27 values around the point, and minus the smallest.
    """

    extremes: Tensor
    bound: float
    resolution: int


def grid_points(
    bound: float,
    resolution: int,  # points along each axis
) -> Tensor:
    """The points [resolution^3, 3] of a grid over [-bound, bound]^3, indexed x, y, z."""
    axis = torch.linspace(-bound, bound, resolution)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


@torch.no_grad()
def coarse_density(
    density: Callable[[Tensor], Tensor],  # [N, 3] -> [N]
    bound: float,
    points: Tensor,  # [resolution^3, 3] of `grid_points`
    shifts: Tensor | None = None,  # [n, 3], each shorter than half a cell along each axis
) -> CoarseDensity:
    """Read the density on the grid, or on shifted ones, of which each point has the extremes."""
    resolution = round(len(points) ** (1 / 3))
    pairs = []
    for part in points.split(PIECE):
        values = [density(part if shift is None else part + shift) for shift in ([None] if shifts is None else shifts)]
        pairs.append(torch.stack([reduce(torch.maximum, values), -reduce(torch.minimum, values)]))
    found = pairs[0] if len(pairs) == 1 else torch.cat(pairs, 1)
    volume = found.view(2, resolution, resolution, resolution)
    return CoarseDensity(F.max_pool3d(volume, 3, stride=1, padding=1).flatten(1), bound, resolution)


@torch.no_grad()
def visible_samples(
    coarse: CoarseDensity | None,
    rays_o: Tensor,  # [R, 3]
    rays_d: Tensor,  # [R, 3]
    t: Tensor,  # [R, S]
    delta: Tensor,  # [R, S] lengths of the intervals
) -> Tensor:
    """Indices [K] into the flattened [R, S] samples that can contribute to the image.

    A sample is dropped when the largest value around it is empty, or when the smallest values before it
    already block the ray; both err on the side of keeping. Without a grid every sample of an interval
    that is not empty is kept.
    """
    if coarse is None:
        return (delta > 0).flatten().nonzero()[:, 0]
    resolution = coarse.resolution
    scale = (resolution - 1) / (2 * coarse.bound)
    o, d = (rays_o + (coarse.bound + 0.5 / scale)) * scale, rays_d * scale
    place = torch.addcmul(o.T[..., None], d.T[..., None], t, out=t.new_empty(3, *t.shape))
    x, y, z = place.int().clamp_(0, resolution - 1)
    cell = z.add_(y.add_(x, alpha=resolution), alpha=resolution).flatten()
    most, blocked = coarse.extremes.index_select(1, cell).view(2, *t.shape) * delta
    seen = blocked.cumsum(-1) - blocked > math.log(MIN_TRANSMITTANCE)
    return ((most > MIN_ALPHA) & seen).flatten().nonzero()[:, 0]
