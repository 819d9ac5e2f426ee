"""How good a result is against the small world's ground truth, under fixed names.

identity_shape, identity_material: posterior probability of the right object (1 is certain).
patch_distance: RMS colour distance of local texture to the clean one (0 is perfect). A blurred texture lies between
the clean ones and is near to all of them: this distance alone forgives smoothness.
patch_coverage: the distance the other way, of the true view's texture to the nearest in the picture (0: all of it is
there). Smooth pictures lack it.
saturation_ratio, high_frequency_ratio: relative to the truth (1 is right, SDS is above / below).
silhouette_iou: against the true mask of the same view; a picture without a camera is compared with
the best of a grid of views. The outline is found by colour, as a picture has no other: true views of pale materials get
.885 (a striped sphere) to .972, not 1. mask_iou: 3D only, by opacity, so that a true view gets 1.
occupancy_iou: 3D only, see geometry.py.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..priors.small_world.identity import identify
from ..priors.small_world.world import Truth, render_truth, view_cameras
from .image_stats import foreground, high_frequency_energy, interior, iou, patch_distance, saturation

GRID_AZIMUTHS = 16
GRID_ELEVATIONS = (5.0, 25.0, 45.0)
ALIKE_VIEWS = 6  # of the grid's 48


@lru_cache(maxsize=8)
def _truth_grid(shape: str, material: str, size: int) -> Truth:
    """The truth from a grid of views; kept, because a comparison asks for the same one again and again."""
    azimuth = torch.arange(GRID_AZIMUTHS) * (360 / GRID_AZIMUTHS)
    grid = torch.meshgrid(azimuth, torch.tensor(GRID_ELEVATIONS), indexing="ij")
    return render_truth(shape, material, view_cameras(grid[0].flatten(), grid[1].flatten()), size)


@torch.no_grad()
def mask_iou(opacity: Tensor, shape: str, material: str, cameras: Cameras) -> float:
    """Mean IoU of the opacity [B, 1, H, W] of B views, cut at 0.5, with the object's true mask."""
    truth = render_truth(shape, material, cameras, opacity.shape[-1])
    return float(iou(opacity > 0.5, truth.mask > 0.5).mean())


@torch.no_grad()
def evaluate_images(images: Tensor, shape: str, material: str, cameras: Cameras | None = None) -> dict[str, float]:
    """Means over images [B, 3, H, W] in [0, 1] of all 2D metrics; `cameras` (B of them) when the views are known."""
    size = images.shape[-1]
    outline = foreground(images)
    if cameras is not None:
        truth = render_truth(shape, material, cameras, size)
        truth_mask = truth.mask > 0.5
        silhouette = iou(outline, truth_mask)
        # where the object truly is, so that a wrong outline costs only the IoU
        mask, compared, alike = truth_mask, slice(None), torch.arange(len(images))[:, None]
    else:
        truth = _truth_grid(shape, material, size)
        truth_mask = truth.mask > 0.5
        overlap = torch.stack([iou(m.expand_as(truth_mask), truth_mask) for m in outline[:, None]])  # [B, V]
        silhouette = overlap.amax(1)
        # how much texture shows depends on the view: the ratios are to the views with the most similar outline
        alike = overlap.topk(ALIKE_VIEWS, 1).indices  # [B, K]
        mask, compared = outline, slice(None, None, 4)
    true_outline = truth_mask if cameras is not None else foreground(truth.images)
    ratios = {
        name: statistic(images, interior(mask)).mean()
        / statistic(truth.images, interior(true_outline))[alike].mean().clamp(min=1e-6)
        for name, statistic in (("saturation_ratio", saturation), ("high_frequency_ratio", high_frequency_energy))
    }
    coverage = [
        patch_distance(truth.images[views], truth_mask[views], image[None])
        for views, image in zip(alike, images, strict=True)
    ]
    p_shape, p_material = identify(images, cameras).of(shape, material)
    distance = patch_distance(images, mask, truth.images[compared])
    return {
        "identity_shape": float(p_shape.mean()),
        "identity_material": float(p_material.mean()),
        "patch_distance": float(distance.nanmean()),
        "patch_coverage": float(torch.cat(coverage).nanmean()),
        "silhouette_iou": float(silhouette.mean()),
        **{name: float(value) for name, value in ratios.items()},
    }
