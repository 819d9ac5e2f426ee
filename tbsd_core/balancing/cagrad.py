"""Conflict-averse gradient descent, CAGrad (arXiv:2110.14048), for two directions in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig
from .mgda import per_sample_dot


def conflict_averse_weights(
    grad_shape: Tensor,  # [B, ...] g1
    grad_texture: Tensor,  # [B, ...] g2
    conflict_aversion: float,  # c in [0, 1)
) -> tuple[Tensor, Tensor]:
    """Weights [B] of d = g0 + c |g0| g_w / |g_w|, g0 = (g1 + g2) / 2 (CAGrad Eq. 4).

    g_w = w g1 + (1 - w) g2 minimises F(w) = <g_w, g0> + c |g0| |g_w| over w in [0, 1]. With e = g1 - g2,
    a = |e|^2, b = <e, g0>, and w_0 and p the place and the vector of the shortest of all g_w, w unbounded,

        |g_w|^2 = a (w - w_0)^2 + |p|^2,   F'(w) = b + c |g0| a (w - w_0) / |g_w|
        F'(w) = 0  at  w = w_0 - b |p| / sqrt(a (c^2 |g0|^2 a - b^2))

    If that root has no real value, F is monotonic and w is 1 for b < 0, else 0. If g_w is zero, the two directions
    oppose each other without a compromise, and d is their mean.
    """
    g1, g2 = grad_shape.float().flatten(1), grad_texture.float().flatten(1)
    tiny = torch.finfo(torch.float32).tiny
    size = (per_sample_dot(g1, g1) + per_sample_dot(g2, g2)).sqrt().clamp_min(tiny)
    g1, g2 = g1 / size[:, None], g2 / size[:, None]
    mean, e = (g1 + g2) / 2, g1 - g2
    # of the vectors themselves: products of their lengths would cancel where the two are nearly parallel
    mean_sq, a, b = per_sample_dot(mean, mean), per_sample_dot(e, e), per_sample_dot(e, mean)
    w_0 = -per_sample_dot(e, g2) / a.clamp_min(tiny)
    p = g2 + w_0[:, None] * e
    room = conflict_aversion**2 * mean_sq * a - b**2
    inner = w_0 - b * (per_sample_dot(p, p) / (a * room).clamp_min(tiny)).sqrt()
    w = torch.where(room > 0, inner, (b < 0).float()).clamp(0, 1)
    w = torch.where((a == 0) | (mean_sq == 0), torch.full_like(w, 0.5), w)
    g_w = w[:, None] * g1 + (1 - w[:, None]) * g2
    length_sq = per_sample_dot(g_w, g_w)
    is_zero = length_sq <= 1e-13  # of the two together, which is 1: what is left of g_w is rounding
    ratio = (mean_sq / torch.where(is_zero, torch.ones_like(length_sq), length_sq)).sqrt()
    extra = torch.where(is_zero, torch.zeros_like(ratio), conflict_aversion * ratio)
    return 0.5 + extra * w, 0.5 + extra * (1 - w)


class CAGrad:
    """The mean of both directions, turned towards the one that it would neglect. Reads `conflict_aversion`."""

    summary = "CAGrad: the mean of the two, turned towards the direction that it would neglect"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        return conflict_averse_weights(grad_shape, grad_texture, self.config.conflict_aversion)
