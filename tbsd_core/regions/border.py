"""From the free part to the weight of change: 0 where it is locked, rising to 1 over a border inside the free part."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mesh.texels import nearest_known
from ..native import run_native


def in_picture(free: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Weights [H, W] of a picture, `width` in pixels, and for each pixel the nearest locked one, row * W + column;
    the pixel itself where there is no border."""
    if width == 0 or bool(free.all()):
        return free.float(), torch.arange(free.numel()).view(free.shape)
    nearest = nearest_known(~free)
    height, n_columns = free.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(n_columns), indexing="ij")
    distance = ((nearest // n_columns - y) ** 2 + (nearest % n_columns - x) ** 2).float().sqrt()
    return ramp(distance, width + 1) * free, nearest  # the first free pixel lies at a distance of 1


def between_points(
    points: Tensor,  # [K, 3]
    free: Tensor,  # [K] bool
    width: float,  # in their units
) -> tuple[Tensor, Tensor]:
    """Weights [K] of points on a surface, by their distance to the nearest locked point, also across seams of a
    texture; and the index [K] of that point. Beyond the border it is the point itself."""
    nearest = torch.arange(len(points))
    if width == 0 or not bool(free.any()) or bool(free.all()):
        return free.float(), nearest
    inputs = {"points": points[free].numpy(), "others": points[~free].numpy(), "at_most": width}
    found = run_native("nearest_points", inputs)
    distance, index = torch.from_numpy(found["distance"]), torch.from_numpy(found["index"])
    weight = torch.zeros(len(points))
    weight[free] = ramp(distance, width)
    locked, near = nearest[~free], distance < width
    nearest[free.nonzero()[near, 0]] = locked[index[near]]
    return weight, nearest


def ramp(distance: Tensor, width: float) -> Tensor:
    """Smooth steps from 0 at distance 0 to 1 at `width`, flat at both ends, so that neither end is seen."""
    x = (distance / width).clamp(0, 1)
    return x * x * (3 - 2 * x)
