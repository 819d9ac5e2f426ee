"""Noise that is fixed to surfaces: the same place has the same noise in every view and every step.

Consistent Flow Distillation, arXiv:2501.05445, Section 4.3: with noise that is new in each view a model asks each view
for other detail, and their mean is blurred; with noise that belongs to the surface all views ask for the same. Its
noise lies in a texture; ours lies in small cells of space, so that any scene that has a depth can have it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.rays import camera_rays
from ..rng import named_generator

FRESH, SURFACE = "fresh", "surface"
NOISES = (FRESH, SURFACE)
N_VALUES = 1 << 18  # different noise values per channel; cells share them by a hash
PRIMES = (73856093, 19349663, 83492791)
BESIDE = 1 << 40  # added to the cells of the background, which are directions


def surface_noise(
    depth: Tensor,  # [B, 1, H, W] world units along the ray
    opacity: Tensor,  # [B, 1, H, W]
    cameras: Cameras,  # B
    shape: tuple[int, ...],  # [B, C, h, w] of the latents
    cell: float,  # world units; about the distance between two of the H x W pixels on the object
    distance: float,  # of the object, at which the background is cut into cells
    seed: int,
) -> Tensor:
    """Noise of mean 0 and variance 1, [B, C, h, w].

    A latent cell sees about (H / h)^2 cells of the surface. Its noise is the sum of theirs, each as often as it is
    seen, over the root of the sum of the squares of how often: unit variance, and independent of its neighbours' but
    for surface cells that both see (integral noise, arXiv:2404.03109, Eq. 4).
    """
    batch, channels, height, width = shape
    k = max(1, round(depth.shape[-1] / width))
    depth, opacity = (F.interpolate(x, (height * k, width * k), mode="nearest") for x in (depth, opacity))
    rays_o, rays_d = camera_rays(cameras, height * k, width * k)
    is_object = opacity[:, 0] > 0.5
    points = rays_o + rays_d * depth[:, 0, ..., None]
    place = torch.where(is_object[..., None], points, rays_d * distance)
    index = torch.floor(place / cell).long()
    x, y, z = (index[..., i] * PRIMES[i] for i in range(3))
    ids = (x ^ y ^ z) + torch.where(is_object, 0, BESIDE)
    ids = ids.view(batch, height, k, width, k).transpose(2, 3).reshape(batch, height, width, k * k)
    values = _values(seed, channels, depth.device)[((ids * 2654435761) >> 13) % N_VALUES]  # [B, h, w, k k, C]
    squares = (ids[..., :, None] == ids[..., None, :]).sum((-1, -2))  # of how often each cell is seen
    return (values.sum(-2) / squares[..., None].to(values.dtype).sqrt()).movedim(-1, 1)


def cell_size(distance: float, fov_y: float, pixels: int) -> float:
    """World units between two pixels of a view on an object at this distance; fov_y in degrees."""
    return 2 * math.tan(math.radians(fov_y) / 2) * distance / pixels


@lru_cache(maxsize=2)
def _values(seed: int, channels: int, device: torch.device) -> Tensor:
    return torch.randn(N_VALUES, channels, generator=named_generator(seed, "surface noise")).to(device)
