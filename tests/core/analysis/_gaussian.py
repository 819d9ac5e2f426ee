"""A Gaussian prior with one variance for all prompts: every direction is then one known vector per noise level."""

from __future__ import annotations

from dataclasses import replace

import torch
from tbsd_pack.tbsd_core.cameras.sampling import CameraConfig
from tbsd_pack.tbsd_core.experiment import ExperimentConfig
from tbsd_pack.tbsd_core.guidance import METHODS
from tbsd_pack.tbsd_core.optim import OptimConfig
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior
from tbsd_pack.tbsd_core.prompts import PromptConfig, PromptSet
from tbsd_pack.tbsd_core.scenes import SCENES
from tbsd_pack.tbsd_core.study import Entry

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


def gaussian_entry(label: str, guidance, scene, prompts: PromptSet | None = None, **optim) -> Entry:
    """An entry of a method and a scene, each named by its configuration; `optim` are settings of OptimConfig."""
    method, kind = (
        next(name for name, spec in table.items() if spec.config is type(config))
        for table, config in ((METHODS, guidance), (SCENES, scene))
    )
    config = ExperimentConfig(
        prompt=PromptConfig(prompt="a brick house"),
        guidance_name=method,
        guidance=guidance,
        scene_name=kind,
        scene=scene,
        cameras=CameraConfig(),
        optim=OptimConfig(**{"size": SIZE, "views_per_step": 1, "seed": scene.seed, **optim}),
    )
    return Entry(label=label, config=config, prompts=prompts or gaussian_prompts())


def with_optim(entry: Entry, **changes) -> Entry:
    return replace(entry, config=replace(entry.config, optim=replace(entry.config.optim, **changes)))
