"""Which object is in the picture? Posterior of shape and material under the exact prior.

Shape: the mixture of exact.py with every object equally likely and observation noise `SIGMA`,
    p(shape | x)  ~  sum over views, materials and faults of exp(-|x - fault(render)|^2 / 2 SIGMA^2).
Material: the same mixture over patches instead of whole images (its local variant), with the patches of
that shape's renders as centres, because a texture that sits two pixels further along is still itself:
    log p(material | x)  ~  sum over patches q of log mean_j exp(-|q - patch_j|^2 / 2 SIGMA^2).
Faults of colour are summed over, so that a dark brick house is still one of brick.
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
SIGMA = 0.15  # observation noise in pixel values
FAULTS = ("dark", "foggy", "oversaturated")
AZIMUTHS, ELEVATIONS = 24, (5.0, 25.0, 45.0, 72.0)  # degrees: the views that are summed over
PATCH, STRIDE = 6, 2  # pixels
OVERLAP = (PATCH / STRIDE) ** 2  # each pixel is in so many patches; they count as one observation


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
    evidence, masks = [], []
    for shape in SHAPES:
        views, mask = _views(shape) if cameras is None else _render(shape, cameras)
        flat = views.flatten(0, 1)  # [M V, 3, SIZE, SIZE]
        fits = []
        for fault in ((), *((f,) for f in FAULTS)):
            version = degrade(flat, fault, 0.5, torch.Generator()).view_as(views)
            if cameras is None:  # every image against every view
                distance = torch.cdist(x.flatten(1), version.flatten(2).flatten(0, 1)) ** 2
                fits.append(-distance.view(len(x), len(MATERIALS), -1) / (2 * SIGMA**2))
            else:  # image b against view b
                distance = ((x[None] - version) ** 2).flatten(2).sum(-1)
                fits.append(-distance.T[..., None] / (2 * SIGMA**2))
        fit = torch.stack(fits).logsumexp((0, 2))  # [B, V]
        evidence.append(fit.logsumexp(1))
        best_view = fit.argmax(1) if cameras is None else torch.arange(len(x))
        masks.append(mask[best_view])
    p_shape = torch.softmax(torch.stack(evidence, 1), 1)
    names = list(SHAPES)
    p_material = [
        _material_posterior(image, names[s], masks[s][b])
        for b, (image, s) in enumerate(zip(x, p_shape.argmax(1).tolist(), strict=True))
    ]
    return Identity(p_shape, torch.stack(p_material))


def _render(shape: str, cameras: Cameras) -> tuple[Tensor, Tensor]:
    images, mask, _ = render_materials(shape, list(MATERIALS), cameras, SIZE)
    return images, mask


@lru_cache(maxsize=len(SHAPES))
def _views(shape: str) -> tuple[Tensor, Tensor]:
    """Renders [M, V, 3, SIZE, SIZE] and masks [V, 1, SIZE, SIZE] on the grid of views."""
    azimuth = torch.arange(AZIMUTHS) * (360 / AZIMUTHS)
    grid_a, grid_e = (g.flatten() for g in torch.meshgrid(azimuth, torch.tensor(ELEVATIONS), indexing="ij"))
    return _render(shape, view_cameras(grid_a, grid_e))


def _patches(images: Tensor, mask: Tensor) -> Tensor:
    """Patches [P, 3 PATCH^2] of images [V, 3, SIZE, SIZE] that lie on the object."""
    inside = F.unfold((mask > 0.5).float(), PATCH, stride=STRIDE).mean(1) > 0.9  # [V, L]
    return F.unfold(images, PATCH, stride=STRIDE).transpose(1, 2)[inside]


@lru_cache(maxsize=len(SHAPES))
def _bank(shape: str) -> Tensor:
    """Patches [M, P, D] of every second view of an object, with and without faults of colour."""
    images, mask = _views(shape)
    images, mask = images[:, ::2], mask[::2]
    versions = [images, *(degrade(images.flatten(0, 1), (f,), 0.5, torch.Generator()).view_as(images) for f in FAULTS)]
    return torch.stack([torch.cat([_patches(v[m], mask) for v in versions]) for m in range(len(MATERIALS))])


def _material_posterior(image: Tensor, shape: str, mask: Tensor) -> Tensor:
    """p(material | x, shape) [M] from the patches of one image [3, SIZE, SIZE] inside a mask."""
    patches = _patches(image[None], mask[None])
    if len(patches) == 0:
        return torch.full((len(MATERIALS),), 1 / len(MATERIALS))
    fit = torch.stack([-(torch.cdist(patches, b) ** 2) / (2 * SIGMA**2) for b in _bank(shape)])  # [M, P, J]
    return torch.softmax((fit.logsumexp(-1)).sum(-1) / OVERLAP, 0)
