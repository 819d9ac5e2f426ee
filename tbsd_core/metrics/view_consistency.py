"""Several faces in one object ("Janus"): do the views from all around show sides of one thing?

Two numbers, because only a world with ground truth can tell a repeated side from a symmetric object:

`view_consistency` compares each render with the true object seen from every azimuth, D[v, k] the mean squared
colour distance of view v to the true view k:
    free       = mean_v min_k D[v, k]                   every view may be any side
    consistent = min_phi mean_v D[v, v + phi]           the sides follow the camera, from one common turn phi on
    unrelated  = mean_v mean_k D[v, k]                  what sides in no order cost
    1 - (consistent - free) / (unrelated - free)
It is 1 for the true object however it is turned, near 1 where its colours are wrong on all sides alike, and 0 for
one side repeated all around. It is not defined (NaN) where the true object looks the same from everywhere; of a
round object it sees the shading alone, since the light stands still.

`view_repetition` needs no truth: the mean correlation of views at least 90 degrees apart. 1 is one side repeated
all around. A symmetric object has a high value, too, so it compares methods on one prompt and nothing else.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.sampling import orbit
from ..priors.small_world.world import render_truth

SIZE = 32  # pixels at which views are compared
MIN_CONTRAST = 1e-4  # mean squared colour distance of two true views below which the object has no sides


@torch.no_grad()
def view_consistency(
    images: Tensor,  # [V, 3, H, W] in [0, 1], views of a whole turn in equal steps, beginning at the front
    shape: str,
    material: str,
    elevation: float,  # of all views, degrees
    distance: float,
    fov_y: float,  # degrees
) -> float:
    """1 where the views are sides of one object of that kind, 0 where they repeat one side; see the module.

    Raises:
        ValueError: fewer than 4 views.
    """
    views = _small(images)
    truth = _turn(shape, material, len(images), elevation, distance, fov_y)
    return consistency_of(torch.cdist(views.flatten(1), truth.flatten(1)) ** 2 / views[0].numel())


def consistency_of(distances: Tensor) -> float:
    """The number above from squared distances [V, V] of rendered view v to true view k; NaN without sides."""
    n = len(distances)
    if n < 4 or distances.shape != (n, n):
        raise ValueError(f"view_consistency needs at least 4 views and as many true ones, got {list(distances.shape)}.")
    turns = torch.arange(n)
    consistent = torch.stack([distances[turns, (turns + phi) % n].mean() for phi in range(n)]).min()
    free, unrelated = distances.min(1).values.mean(), distances.mean()
    if unrelated - free < MIN_CONTRAST:
        return math.nan
    return float(1 - (consistent - free) / (unrelated - free))


def view_repetition(images: Tensor) -> float:
    """Mean correlation of the views [V, 3, H, W] of a turn in equal steps that are 90 degrees apart and more.

    Raises:
        ValueError: fewer than 4 views.
    """
    n = len(images)
    if n < 4:
        raise ValueError(f"view_repetition needs at least 4 views of a turn, got {n}.")
    flat = _small(images).flatten(1)
    flat = F.normalize(flat - flat.mean(1, keepdim=True), dim=1)
    apart = torch.arange(n)
    apart = (apart[:, None] - apart[None]).abs()
    apart = torch.minimum(apart, n - apart) * 360 / n
    return float((flat @ flat.T)[apart >= 90].mean())


def _small(images: Tensor) -> Tensor:
    return images if images.shape[-1] == SIZE else F.interpolate(images, (SIZE, SIZE), mode="area")


@lru_cache(maxsize=16)
def _turn(shape: str, material: str, n: int, elevation: float, distance: float, fov_y: float) -> Tensor:
    return render_truth(shape, material, orbit(n, elevation, distance, fov_y), SIZE).images
