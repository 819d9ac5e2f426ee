"""How large the views of a step are: small at first, while only the shape is decided."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def render_size(
    start: int,  # pixels of a side at the beginning of the run
    size: int,  # and at its end
    full_from: float,  # progress from which on it is `size`, in [0, 1]
    progress: float,  # in [0, 1)
) -> int:
    """Pixels of a side at this progress: `start`, doubled in equal parts of the time until `size` is reached.

    From 64 to 512 with full_from 0.6: 64, 128 and 256 for a fifth of the run each, then 512.
    """
    sizes = []
    while start < size:
        sizes.append(start)
        start *= 2
    if progress >= full_from or not sizes:
        return size
    return sizes[min(int(progress / full_from * len(sizes)), len(sizes) - 1)]


def first_full_step(
    start: int | None,  # pixels of a side at the beginning of the run, None for full size
    size: int,
    full_from: float,
    n_steps: int,
) -> int:
    """The first step whose views have their full size."""
    return 0 if start is None or start >= size else math.ceil(full_from * n_steps)


def enlarged(images: Tensor, size: int | None) -> Tensor:
    """Images [B, 3, H, W] resampled to `size` pixels along each side; as they are where it is None."""
    if size is None or images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
