"""Weights from training progress alone: the ablation without MGDA."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig


class ScheduleOnly:
    """lambda_shape = max(r, a), lambda_texture = 1 - r, with r = schedule(progress), a = shape_floor.

    Reads `schedule` and `shape_floor`.
    """

    summary = "progress schedule alone: from shape to texture, whatever the directions"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        r = self.config.schedule(progress)
        return max(r, self.config.shape_floor) > 0, r < 1

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        r = self.config.schedule(progress)
        ones = torch.ones(len(grad_shape), device=grad_shape.device)
        return max(r, self.config.shape_floor) * ones, (1 - r) * ones
