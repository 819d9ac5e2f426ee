"""MGDA on directions of equal length, moved from shape to texture by a schedule.

MGDA weights a gradient by the inverse of its squared length: the longer one all but disappears. The length of a
negative prompt's direction depends on the number of faults it names, so with MGDA the wording decides the balance. On
unit vectors MGDA always gives the bisector, (1/2, 1/2). The schedule's r replaces the first half, and the texture
direction gets the length of the shape direction:

    lambda_shape = max(r, a);  lambda_texture = (1 - r) |g_shape| / |g_texture|

Ours: nothing in the text on TBSD (arXiv:2511.11710) asks for unit vectors. On the small world it is the
balance that holds shape, identity and saturation best (benchmarks/results).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig
from .mgda import per_sample_dot


class UnitSchedule:
    """Reads `schedule` and `shape_floor`. A texture direction of zero gets no weight."""

    summary = (
        "directions of equal length and a progress schedule: the number of faults in the negative prompt does not "
        "matter"
    )

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, self.config.schedule(progress) < 1  # the texture gets the length of the shape, whatever its weight

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        r = self.config.schedule(progress)
        shape = per_sample_dot(grad_shape, grad_shape).sqrt()
        texture = per_sample_dot(grad_texture, grad_texture).sqrt()
        ratio = torch.where(texture > 0, shape / texture.clamp_min(torch.finfo(texture.dtype).tiny), 0.0)
        return torch.full_like(shape, max(r, self.config.shape_floor)), (1 - r) * ratio
