"""Penalties on renders that keep a field from cheating; scalars, unweighted. Weights belong to the scenes.

Published weights, for a data term that is summed over the latents of one view (threestudio's configs):
orientation 10 to 1000, sparsity 1, opaqueness 0 (ours: entropy), z-variance 1 (HiFA). Ours divides the
data term by the number of latent cells and the gradient by its RMS, so weights here are far smaller.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def opacity_entropy(opacity: Tensor) -> Tensor:
    """Mean binary entropy of opacities [...] in [0, 1], in nats: a ray should hit or miss (Latent-NeRF's sparsity
    loss, arXiv:2211.07600, Section 3.2)."""
    a = F.hardtanh(opacity, 1e-4, 1 - 1e-4)  # a clamp whose gradient is one kernel
    # the cross entropy of a with itself; its gradient in the first argument is 0 there
    return F.binary_cross_entropy(a.detach(), a)


def sparsity(opacity: Tensor) -> Tensor:
    """Mean of sqrt(opacity^2 + 0.01), against fog (DreamFusion, arXiv:2209.14988, Appendix A.1; threestudio)."""
    return (opacity.square() + 0.01).sqrt().mean()


def orientation(
    weights: Tensor,  # [K] compositing weights of samples
    normals: Tensor,  # [K, 3] unit vectors
    rays_d: Tensor,  # [K, 3] unit vectors, from the camera
) -> Tensor:
    """Values [K] whose sum over a ray is sum w max(0, n . d)^2: what is seen faces the camera (Ref-NeRF,
    arXiv:2112.03907, Eq. 11; the weights carry no gradient, as in DreamFusion)."""
    return weights.detach() * (normals * rays_d).sum(-1).clamp(min=0).square()


def normal_smoothness(normal: Tensor) -> Tensor:
    """Mean squared difference of neighbouring unit normals [B, 3, H, W], where both are known (not 0): bumps of a
    surface belong in its colours (Magic123, arXiv:2306.17843, Section 3.1)."""
    is_known = normal.detach().square().sum(1, keepdim=True) > 0
    total = normal.new_zeros(())
    for axis in (2, 3):
        n = normal.shape[axis] - 1
        both = is_known.narrow(axis, 0, n) & is_known.narrow(axis, 1, n)
        total = total + (normal.diff(dim=axis).square() * both).mean() * 3
    return total


def z_variance(
    weights: Tensor,  # [R, S]
    t: Tensor,  # [R, S] distances of the samples
    opacity: Tensor,  # [R, 1]
    min_opacity: float = 0.5,  # rays that absorb less have no surface
) -> Tensor:
    """Values [R, 1], sum w (t - depth)^2 / opacity in squared world units: thin surfaces (HiFA, arXiv:2305.18766,
    Eq. 10); 0 on rays without a surface."""
    a = opacity.clamp(min=1e-4)
    depth = (weights * t).sum(-1, keepdim=True) / a
    variance = (weights * (t - depth).square()).sum(-1, keepdim=True) / a
    return variance * (opacity > min_opacity)
