"""A part of a picture."""

from __future__ import annotations

from torch import Tensor

from ..scenes import ImageScene
from .masks import free_of
from .region import BORDER, PIXELS, Region


def pixel_region(scene: ImageScene, mask: Tensor, border: float = BORDER) -> Region:
    """The pixels of a mask, [H, W] in [0, 1], in every picture of the scene. Raises ValueError as `free_of`."""
    size = scene.config.size
    return Region(PIXELS, free_of(mask, (size, size), "the picture"), border)
