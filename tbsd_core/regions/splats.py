"""Some of the Gaussians of a scene."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..scenes import GaussianScene
from .region import BORDER, GAUSSIANS, Region
from .seen import seen_of_splats


def seen_splats(scene: GaussianScene, cameras: Cameras, mask: Tensor | None = None, border: float = BORDER) -> Region:
    """Those that cameras see, inside a mask of their pixels. Raises as `seen_of_splats`."""
    return Region(GAUSSIANS, seen_of_splats(scene, cameras, mask), border)


def spacing(points: Tensor) -> float:
    """About the distance between neighbours of points [N, 3] that lie on a surface, here a ball of their radius."""
    radius = (points - points.mean(0)).square().sum(-1).mean().sqrt()
    return float(radius * torch.tensor(12.6 / max(1, len(points))).sqrt())
