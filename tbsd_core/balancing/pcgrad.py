"""Projecting conflicting gradients, PCGrad (arXiv:2001.06782), for two directions, and a one-sided form of it."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig
from .mgda import per_sample_dot


def conflict_share(
    grad: Tensor,  # [B, ...], the direction to keep
    other: Tensor,  # [B, ...]
) -> Tensor:
    """max(0, -<grad, other>) / |grad|^2 [B]: the multiple of `grad` to add to `other` so that the two no longer
    conflict.

    0 if they agree, and if `grad` is zero.
    """
    square = per_sample_dot(grad, grad)
    against = (-per_sample_dot(grad, other)).clamp_min(0)
    return torch.where(square > 0, against / square.clamp_min(torch.finfo(square.dtype).tiny), torch.zeros_like(square))


class PCGrad:
    """Both directions, each without its component against the other: no setting.

    d = g1' + g2',  g1' = g1 - min(0, <g1, g2>) / |g2|^2 g2  and likewise g2': the weights are
    1 + max(0, -<g1, g2>) / |g_i|^2. Directions that agree are added. With two directions there is no order to draw.
    """

    summary = "PCGrad: both directions, each without its part against the other"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        return 1 + conflict_share(grad_shape, grad_texture), 1 + conflict_share(grad_texture, grad_shape)


class PCGradShape:
    """The whole shape direction, and the texture direction without its component against it: no setting.

    Texture may never undo shape, while shape may undo texture. Ours: half of PCGrad.
    """

    summary = "one-sided PCGrad: shape unchanged, texture without its part against shape"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        share = conflict_share(grad_shape, grad_texture)
        return 1 + share, torch.ones_like(share)
