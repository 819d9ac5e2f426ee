"""The noise levels of ComfyUI's models in variance-preserving terms."""

from __future__ import annotations

import comfy.model_sampling
import torch
from torch import Tensor

from ...tbsd_core.priors.schedule import NoiseSchedule


def is_flow(model_sampling) -> bool:
    """Whether a model predicts the velocity of a rectified flow."""
    return isinstance(model_sampling, (comfy.model_sampling.CONST, comfy.model_sampling.COSMOS_RFLOW))


def noise_levels(model_sampling) -> tuple[NoiseSchedule, Tensor, Tensor]:
    """A model's table of noise levels in variance-preserving terms.

    The model itself says how it mixes signal and noise at a level. Levels without a variance-preserving counterpart
    (pure noise, and repetitions in float32) are left out.

    Returns:
        The schedule of T levels, the model's own sigmas [T], and the factors [T] by which x_t must be
        multiplied to become the model's x.
    """
    sigmas = model_sampling.sigmas.detach().cpu().double()  # not every device has float64
    signal, noise = mixture(model_sampling, sigmas)
    a_bar = (signal**2 / (signal**2 + noise**2)).float()
    lower = torch.cat([a_bar.new_ones(1), a_bar.cummin(0).values[:-1]])
    usable = (a_bar > 0) & (a_bar < lower)
    if int(usable.sum()) < 2:
        raise ValueError(
            "The table of noise levels of this model is unusable: it holds fewer than two levels between clean and "
            "pure noise. Lower the shift of its Model Sampling node."
        )
    # in float32 alphas_cumprod hold little of the lowest levels: tell the model the level that the core mixes
    rounded = a_bar.double()
    sigmas = (sigmas * ((1 - rounded) / rounded).sqrt() * signal / noise)[usable]
    signal, noise = mixture(model_sampling, sigmas)
    return NoiseSchedule(a_bar[usable]), sigmas.float(), (signal**2 + noise**2).sqrt().float()


def mixture(model_sampling, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """The factors [T] of signal and noise in a model's x at noise levels [T]."""
    one, zero = sigmas.new_ones(len(sigmas), 1, 1, 1), sigmas.new_zeros(len(sigmas), 1, 1, 1)
    return (
        model_sampling.noise_scaling(sigmas, zero, one).flatten(),
        model_sampling.noise_scaling(sigmas, one, zero).flatten(),
    )
