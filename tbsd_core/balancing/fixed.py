"""Constant weights: the control against which a balancer must show its worth."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig


class Fixed:
    """(shape_share, 1 - shape_share), whatever the directions. Reads `shape_share`.

    Share 1 is SDS and share 0 is Bridge's second stage, exactly.
    """

    summary = "constant weights (shape_share, 1 - shape_share)"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return self.config.shape_share > 0, self.config.shape_share < 1

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        share = torch.full((len(grad_shape),), self.config.shape_share, device=grad_shape.device)
        return share, 1 - share
