"""The background behind the object: one colour, one that changes from step to step, or a learned environment."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..rng import rand_rows

BACKGROUND = (0.84, 0.86, 0.89)  # a soft studio grey; equal to the small world's, so that its prior knows it
WHITE = (1.0, 1.0, 1.0)  # of the pictures that Zero-1-to-3 was trained on
BACKGROUNDS = ("solid", "random", "learned", "white")
RANDOM_SHARE = 0.5  # of the training views that get a random colour, as random_aug_prob of threestudio


def over_background(
    rgb: Tensor,  # [..., 3] premultiplied colours
    opacity: Tensor,  # [..., 1]
    color: tuple[float, float, float] | Tensor = BACKGROUND,  # or a tensor that broadcasts to rgb
) -> Tensor:
    """Put premultiplied colours over a background: rgb + (1 - opacity) `color`."""
    if not isinstance(color, Tensor):
        color = torch.tensor(color, dtype=rgb.dtype).to(rgb.device, non_blocking=True)
    return torch.addcmul(rgb, 1 - opacity, color)


def random_colors(n: int, color: tuple[float, float, float], generator: torch.Generator) -> Tensor:
    """One colour [n, 3] per view: half of them uniform over the cube of colours, the others `color`.

    An object cannot hide in a background that changes, nor paint its own colour onto it.
    """
    draws = rand_rows(n, 4, generator=generator)
    return torch.where(draws[:, :1] < RANDOM_SHARE, draws[:, 1:], torch.tensor(color))


class Environment(nn.Module):
    """A small network from directions to colours, as threestudio's environment map; `color` everywhere at first."""

    BANDS, HIDDEN = 4, 16

    def __init__(self, color: tuple[float, float, float], generator: torch.Generator) -> None:
        super().__init__()
        n = 3 * (1 + 2 * self.BANDS)
        self.w1 = nn.Parameter(torch.randn(self.HIDDEN, n, generator=generator) * math.sqrt(2 / n))
        self.b1 = nn.Parameter(torch.zeros(self.HIDDEN))
        self.w2 = nn.Parameter(torch.zeros(3, self.HIDDEN))
        self.b2 = nn.Parameter(torch.logit(torch.tensor(color).clamp(1e-3, 1 - 1e-3)))

    def forward(self, rays_d: Tensor) -> Tensor:
        """Colours [..., 3] in [0, 1] of unit directions [..., 3]."""
        waves = [f(rays_d * math.pi * 2**band) for band in range(self.BANDS) for f in (torch.sin, torch.cos)]
        x = torch.cat([rays_d, *waves], -1)
        hidden = torch.relu(nn.functional.linear(x, self.w1, self.b1))
        return torch.sigmoid(nn.functional.linear(hidden, self.w2, self.b2))
