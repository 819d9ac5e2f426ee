"""Emission-absorption compositing along rays (NeRF, arXiv:2003.08934, Eq. 3) through nerfacc.

Only nerfacc functions that are plain PyTorch inside are called: weights on batched [R, S] tensors and
accumulation by ray index. They run on every device and never start nerfacc's CUDA compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

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
    t_starts: Tensor,  # [R, S]
    t_ends: Tensor,  # [R, S]
    t: Tensor,  # [R, S] where the samples sit in their intervals
    densities: Tensor,  # [K] of the K samples that were evaluated; all others are empty
    colors: Tensor,  # [K, 3]
    index: Tensor,  # [K] their positions in the flattened [R, S] samples
) -> Composite:
    """w_i = T_i (1 - exp(-sigma_i delta_i)), rgb = sum w_i c_i, opacity = sum w_i, depth = sum w_i t_i / opacity.

    Depth is 0 on rays whose opacity is below MIN_OPACITY.
    """
    nerfacc = require("nerfacc")
    n_rays, n_samples = t_starts.shape
    dense = densities.new_zeros(n_rays * n_samples).index_copy(0, index, densities).view(n_rays, n_samples)
    weights, _, _ = nerfacc.render_weight_from_density(t_starts, t_ends, dense)
    rays = index // n_samples
    rgb = nerfacc.accumulate_along_rays(weights.flatten()[index], colors, ray_indices=rays, n_rays=n_rays)
    opacity = nerfacc.accumulate_along_rays(weights)
    depth = (weights * t).sum(-1, keepdim=True) / opacity.clamp(min=MIN_OPACITY)
    return Composite(rgb, opacity, depth * (opacity >= MIN_OPACITY), weights)
