"""A Gaussian prior with one variance for all prompts: every direction is then one known vector per noise level."""

from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts import PromptSet

VARIANCE, SIZE = 0.04, 4
generator = torch.Generator().manual_seed(3)
MEANS = {
    name: 0.2 + 0.6 * torch.rand(3, SIZE, SIZE, generator=generator)
    for name in ("target", "uncond", "negative", "target_negative")
}


def gaussian_prior() -> GaussianPrior:
    return GaussianPrior({})


def gaussian_prompts(variance: float = VARIANCE) -> PromptSet:
    return PromptSet(
        conditions={name: {"": GaussianCondition(mean, variance)} for name, mean in MEANS.items()},
        texts={name: {"": name} for name in MEANS},
    )


def difference(prior: GaussianPrior, timestep: int, a: str, b: str) -> torch.Tensor:
    """eps_a - eps_b [1, 3, h, w] at any x_t: sigma alpha (mean_b - mean_a) / (alpha^2 variance + sigma^2)."""
    alpha, sigma = prior.schedule.alpha_sigma(torch.tensor([timestep]))
    return sigma * alpha * (MEANS[b] - MEANS[a])[None] / (alpha**2 * VARIANCE + sigma**2)
