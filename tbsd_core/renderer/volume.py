"""Emission-absorption compositing along rays (NeRF, arXiv:2003.08934, Eq. 3) through nerfacc.

Only plain PyTorch inside nerfacc is called, accumulation by ray index: it runs on every device and never starts
nerfacc's CUDA compiler. Its weights are twice as many kernels as `render_weights`, which equal them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..optional import require

MIN_OPACITY = 0.05  # a ray that absorbs less saw nothing: it has no depth and no normal


@dataclass(frozen=True)
class Composite:
    """Rays [R] after compositing: premultiplied rgb [R, 3], opacity and depth [R, 1], weights [R, S]."""

    rgb: Tensor
    opacity: Tensor
    depth: Tensor
    weights: Tensor


def composite(
    t: Tensor,  # [R, S] where the samples sit in their intervals
    delta: Tensor,  # [R, S] lengths of the intervals
    densities: Tensor,  # [K] of the K samples that were evaluated; all others are empty
    colors: Tensor,  # [K, 3]
    index: Tensor,  # [K] their positions in the flattened [R, S] samples
) -> Composite:
    """w_i = T_i (1 - exp(-sigma_i delta_i)), rgb = sum w_i c_i, opacity = sum w_i, depth = sum w_i t_i / opacity.

    Depth is 0 on rays whose opacity is below MIN_OPACITY.
    """
    dense = densities.new_zeros(t.numel()).index_copy(0, index, densities).view_as(t)
    weights = render_weights(dense, delta)
    opacity = weights.sum(-1, keepdim=True)
    depth = (weights * t).sum(-1, keepdim=True) / F.threshold(opacity, MIN_OPACITY, math.inf)
    return Composite(accumulate(weights, colors, index), opacity, depth, weights)


def render_weights(
    densities: Tensor,  # [R, S]
    delta: Tensor,  # [R, S] lengths of the intervals
) -> Tensor:
    """Weights [R, S] of samples along rays: what the light loses in each interval, T_i - T_{i+1}.

    Differentiable once, and in the densities only.
    """
    return _Weights.apply(densities, delta)


class _Weights(torch.autograd.Function):
    """With its gradient written out, which is half of autograd's kernels: d w_i / d(sigma_j delta_j) is T_{j+1} for
    i = j and -w_i for i > j."""

    @staticmethod
    def forward(ctx: Any, densities: Tensor, delta: Tensor) -> Tensor:
        left = (densities * delta).cumsum(-1).neg_().exp_()  # T_{i+1}
        weights = F.pad(left[:, :-1], (1, 0), value=1.0).sub_(left)
        ctx.save_for_backward(left, weights, delta)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        left, weights, delta = ctx.saved_tensors
        until = (grad * weights).cumsum(-1)
        return torch.addcmul(until - until[:, -1:], grad, left).mul_(delta), None


def accumulate(
    weights: Tensor,  # [R, S]
    values: Tensor,  # [K, C] of the K samples that were evaluated
    index: Tensor,  # [K] their positions in the flattened [R, S] samples
) -> Tensor:
    """Sums [R, C] of weighted values over each ray."""
    n_rays, n_samples = weights.shape
    seen = weights.flatten().index_select(0, index)
    return require("nerfacc").accumulate_along_rays(seen, values, ray_indices=index // n_samples, n_rays=n_rays)
