"""From which side is a known object seen? Posterior over azimuths under the exact prior.

The mixture of identity.py for one object and one elevation, with every azimuth equally likely:
    p(azimuth | x)  ~  sum over faults of colour of exp(-|x - fault(render)|^2 / 2 SIGMA^2).
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .degrade import degrade
from .identity import FAULTS, SIGMA
from .world import render_truth, view_cameras

SIZE = 16  # pixels at which images are compared: the layout of a side rather than its grain
AZIMUTHS = 48  # views that are summed over
GRID = tuple(i * 360 / AZIMUTHS for i in range(AZIMUTHS))  # degrees, from the front


@torch.no_grad()
def view_posterior(
    images: Tensor,  # [B, 3, H, W] in [0, 1]
    shape: str,
    material: str,
    elevation: float,  # degrees, of the cameras of all of them
) -> Tensor:
    """p(azimuth | image) [B, AZIMUTHS] over `GRID` of images of one known object from one known height."""
    x = F.interpolate(images, (SIZE, SIZE), mode="area").flatten(1)
    versions = _versions(shape, material, elevation)
    distance = torch.stack([torch.cdist(x, version) for version in versions]) ** 2  # [F, B, AZIMUTHS]
    return torch.softmax((-distance / (2 * SIGMA**2)).logsumexp(0), 1)


@lru_cache(maxsize=16)
def _versions(shape: str, material: str, elevation: float) -> Tensor:
    """Renders [1 + len(FAULTS), AZIMUTHS, 3 SIZE^2] all around, sound and with each fault."""
    azimuth = torch.tensor(GRID)
    cameras = view_cameras(azimuth, torch.full_like(azimuth, elevation))
    sound = render_truth(shape, material, cameras, 2 * SIZE).images
    versions = [sound, *(degrade(sound, (fault,), 0.5, torch.Generator()) for fault in FAULTS)]
    return torch.stack([F.interpolate(v, (SIZE, SIZE), mode="area").flatten(1) for v in versions])
