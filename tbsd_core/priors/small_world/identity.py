"""Which object is in the picture? The exact posterior of shape and material, integrated over views.

Under the mixture of exact.py with every object equally likely and observation noise `sigma`,
    p(object | x)  ~  sum over views and faults of exp(-|x - fault(render(object, view))|^2 / 2 sigma^2).
Faults of colour and sharpness are summed over, so that a dark brick house is still one of brick.
Known cameras leave one view in the sum. Otherwise a coarse grid of views finds the few that matter,
and a fine grid around them does the sum: textures move by a pixel per degree or two, so that the
coarse grid alone would confuse bricks with dots.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ...cameras.pose import Cameras
from .degrade import degrade
from .materials import MATERIALS
from .shapes import SHAPES
from .world import render_materials, view_cameras

SIZE = 32  # pixels at which images are compared
SIGMA = 1.0  # observation noise in units of 2 x pixel values; wide, so that saturation does not decide
COARSE_AZIMUTHS, COARSE_ELEVATIONS = 24, (5.0, 25.0, 45.0, 72.0)
FAULTS = ("dark", "foggy", "oversaturated", "blurry")
FINE_STEPS = (-6.0, -3.0, 0.0, 3.0, 6.0)  # degrees around a coarse azimuth
FINE_ELEVATIONS = (-8.0, 0.0, 8.0)
N_REFINED = 5


@dataclass(frozen=True)
class Identity:
    """Posterior [B, 8] over SHAPES and [B, 6] over MATERIALS, in the order of the tables."""

    shape: Tensor
    material: Tensor

    def of(self, shape: str, material: str) -> tuple[Tensor, Tensor]:
        """Posterior probabilities [B] of one shape and one material."""
        return self.shape[:, list(SHAPES).index(shape)], self.material[:, list(MATERIALS).index(material)]


@torch.no_grad()
def identify(images: Tensor, cameras: Cameras | None = None) -> Identity:
    """Posterior of what images [B, 3, H, W] in [0, 1] show; `cameras` (B of them) if the views are known."""
    x = F.interpolate(images, (SIZE, SIZE), mode="area") if images.shape[-1] != SIZE else images
    if cameras is not None:
        logits = torch.stack([_log_likelihood(x, s, cameras) for s in SHAPES], 1)  # [B, S, M]
        return _marginals(logits)
    return _marginals(torch.stack([_refined(image) for image in x]))


def _marginals(logits: Tensor) -> Identity:
    p = torch.softmax(logits.flatten(1), -1).view_as(logits)
    return Identity(p.sum(2), p.sum(1))


def _log_likelihood(x: Tensor, shape: str, cameras: Cameras) -> Tensor:
    """[B, M]: image b against the object in every material seen by camera b."""
    clean, _, _ = render_materials(shape, list(MATERIALS), cameras, SIZE)  # [M, B, 3, SIZE, SIZE]
    flat = clean.flatten(0, 1)
    versions = [clean, *(degrade(flat, (fault,), 0.5, torch.Generator()).view_as(clean) for fault in FAULTS)]
    distance = torch.stack([((x[None] - v) ** 2).flatten(2).sum(-1) for v in versions])  # [F, M, B]
    return (-4 * distance / (2 * SIGMA**2)).logsumexp(0).T


@lru_cache(maxsize=1)
def _coarse() -> tuple[Tensor, Tensor, Tensor]:
    """References [S, V, M, D] on the coarse grid of views, and the views' angles."""
    azimuth = torch.arange(COARSE_AZIMUTHS) * (360 / COARSE_AZIMUTHS)
    grid_a, grid_e = (g.flatten() for g in torch.meshgrid(azimuth, torch.tensor(COARSE_ELEVATIONS), indexing="ij"))
    cameras = view_cameras(grid_a, grid_e)
    images = [render_materials(s, list(MATERIALS), cameras, SIZE)[0].transpose(0, 1).flatten(2) for s in SHAPES]
    return torch.stack(images), grid_a, grid_e


def _refined(image: Tensor) -> Tensor:
    """Log evidence [S, M] of one image [3, SIZE, SIZE] over unknown views."""
    reference, azimuth, elevation = _coarse()
    distance = ((reference - image.flatten()) ** 2).sum(-1)  # [S, V, M]
    # the views that matter are those where the best material fits best
    n_views = distance.shape[1]
    best = distance.amin(-1).flatten().argsort()[:N_REFINED]
    logits = torch.full((len(SHAPES), len(MATERIALS)), -torch.inf)
    for s, name in enumerate(SHAPES):
        cells = [int(i) % n_views for i in best if int(i) // n_views == s]
        if not cells:
            fit = -4 * distance[s] / (2 * SIGMA**2)
            logits[s] = fit.logsumexp(0)
            continue
        da, de = torch.meshgrid(torch.tensor(FINE_STEPS), torch.tensor(FINE_ELEVATIONS), indexing="ij")
        fine_a = torch.cat([azimuth[c] + da.flatten() for c in cells])
        fine_e = torch.cat([elevation[c] + de.flatten() for c in cells]).clamp(-5, 89)
        cameras = view_cameras(fine_a, fine_e)
        logits[s] = _log_likelihood(image[None].expand(len(fine_a), -1, -1, -1), name, cameras).logsumexp(0)
    return logits
