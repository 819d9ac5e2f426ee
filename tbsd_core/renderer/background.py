"""What is seen where the object is not."""

from __future__ import annotations

import torch
from torch import Tensor

BACKGROUND = (0.84, 0.86, 0.89)  # a soft studio grey; equal to the small world's, so that its prior knows it


def over_background(
    rgb: Tensor,  # [..., 3] premultiplied colours
    opacity: Tensor,  # [..., 1]
    color: tuple[float, float, float] = BACKGROUND,
) -> Tensor:
    """Put premultiplied colours over one solid colour: rgb + (1 - opacity) color."""
    return rgb + (1 - opacity) * torch.tensor(color, dtype=rgb.dtype, device=rgb.device)
