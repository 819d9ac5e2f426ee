"""The differences of noise predictions that every method is built from.

All of them share one x_t and are parts of a gradient: moving the latents against one lowers the
probability ratio it names. Notation of SDS-Bridge (arXiv:2406.09417) and TBSD (arXiv:2511.11710).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..balancing.mgda import per_sample_dot


def delta_cls(eps_target: Tensor, eps_uncond: Tensor) -> Tensor:
    """Classifier direction eps_target - eps_uncond: towards the prompt, away from everything else."""
    return eps_target - eps_uncond


def delta_tnp(eps_target: Tensor, eps_target_negative: Tensor) -> Tensor:
    """TNP direction: towards a good picture of the target, away from a faulty picture of the same target."""
    return eps_target - eps_target_negative


def delta_gnp(eps_target: Tensor, eps_negative: Tensor) -> Tensor:
    """GNP direction: towards the target, away from faulty pictures of anything."""
    return eps_target - eps_negative


def residual(eps_uncond: Tensor, noise: Tensor) -> Tensor:
    """Denoising residual eps_uncond - noise: towards pictures of any kind; keeps the latents plausible."""
    return eps_uncond - noise


def norm(direction: Tensor) -> Tensor:
    """Euclidean length [B] of each sample's direction."""
    return torch.linalg.vector_norm(direction.float().flatten(1), dim=1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine [B] between the directions of each sample; 0 where one of them is zero."""
    return per_sample_dot(a, b) / (norm(a) * norm(b)).clamp_min(1e-12)
