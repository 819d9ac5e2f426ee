"""Multiple-gradient descent for two directions: the shortest vector between them.

Source: Desideri 2012, Multiple-gradient descent algorithm; closed form for two objectives from Sener
and Koltun 2018 (arXiv:1810.04650, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig


def per_sample_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products [B] of two tensors [B, ...], in float32: half precision overflows at latent sizes."""
    return (a.float() * b.float()).flatten(1).sum(1)


def min_norm_weights(
    grad_shape: Tensor,  # [B, ...] g1
    grad_texture: Tensor,  # [B, ...] g2
) -> tuple[Tensor, Tensor]:
    """(lambda, 1 - lambda), each [B], minimising |lambda g1 + (1 - lambda) g2|^2 over lambda in [0, 1].

        lambda = clip(<g2 - g1, g2> / |g1 - g2|^2, 0, 1)

    with a ridge of 1e-12 (|g1|^2 + |g2|^2), which decides equal directions as 1/2 and is below float32
    otherwise. The sum d of the weighted directions has <d, g_i> >= |d|^2 for both: it descends on both.

    Degenerate case: if one direction is exactly zero (because the negative equals the target, for example), the
    minimiser is d = 0 and nothing would ever move. We treat a zero direction as an absent objective, not as one that is
    reached, so the other direction gets weight 1. If both are zero, shape gets it.
    """
    g1, g2 = grad_shape.float(), grad_texture.float()
    difference = g1 - g2
    shape_sq, texture_sq = per_sample_dot(g1, g1), per_sample_dot(g2, g2)
    ridge = 1e-12 * (shape_sq + texture_sq)
    numerator = per_sample_dot(-difference, g2) + ridge / 2
    denominator = (per_sample_dot(difference, difference) + ridge).clamp_min(torch.finfo(torch.float32).tiny)
    lam = (numerator / denominator).clamp(0, 1)
    lam = torch.where(shape_sq == 0, torch.zeros_like(lam), lam)
    lam = torch.where(texture_sq == 0, torch.ones_like(lam), lam)
    return lam, 1 - lam


class MGDA:
    """Min-norm weights at every step; no setting.

    The shorter direction gets the larger weight. delta_cls and delta_tnp share a term, so when the
    texture direction is much the shorter the weights clip to (0, 1), and TBSD becomes Bridge.
    """

    summary = "MGDA alone: the shortest combination of the two directions, at every step"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        return min_norm_weights(grad_shape, grad_texture)
