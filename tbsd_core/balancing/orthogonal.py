"""Texture without its component along shape, so that it adds only what shape does not already say."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig
from .mgda import per_sample_dot


def orthogonal_part(
    grad: Tensor,  # [B, ...]
    reference: Tensor,  # [B, ...]
) -> Tensor:
    """`grad` [B, ...] minus its projection on `reference`, per sample; unchanged if the reference is zero."""
    square = per_sample_dot(reference, reference)
    share = per_sample_dot(grad, reference) / square.clamp_min(torch.finfo(square.dtype).tiny)
    share = torch.where(square > 0, share, torch.zeros_like(share))
    return grad - share.view(-1, *(1,) * (grad.ndim - 1)) * reference


class Orthogonal:
    """g_shape + (g_texture - <g_texture, g_shape> / |g_shape|^2 g_shape): no setting. Ours.

    The two directions share a term, so part of the texture direction is shape. Without that part, the mixture is
    exactly as long along the shape direction as the shape direction alone.
    """

    summary = "shape unchanged, and the part of texture that is orthogonal to it"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def filter(self, grad_shape: Tensor, grad_texture: Tensor) -> tuple[Tensor, Tensor]:
        return grad_shape, orthogonal_part(grad_texture, grad_shape)

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        ones = torch.ones(len(grad_shape), device=grad_shape.device)
        return ones, ones
