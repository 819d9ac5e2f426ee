"""The random draws of a step: timesteps and noise, each a function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..guidance.timesteps import sample_timesteps, shared_in_groups
from ..rng import named_generator
from .config import OptimConfig
from .surface_noise import SURFACE


def draw_timesteps(
    config: OptimConfig,
    n_timesteps: int,  # of the schedule
    batch: int,
    step: int,
    group: int = 1,  # samples in a row that have one timestep
) -> Tensor:
    """Timesteps [B] of a step, on the CPU."""
    drawn = named_generator(config.draw_seeds[1], "timestep", step)
    t = sample_timesteps(config.timesteps, n_timesteps, batch, step / config.n_steps, drawn)
    return shared_in_groups(t, group)


def draw(
    config: OptimConfig,
    n_timesteps: int,
    shape: Sequence[int],  # of the latents, [B, C, h, w]
    step: int,
    seeds: Sequence[tuple[int, int]] | None = None,  # one pair per sample
    group: int = 1,  # samples in a row that have one timestep
) -> tuple[Tensor, Tensor]:
    """Timesteps [B] and noise [B, C, h, w] of a step, on the CPU; with `seeds`, row i has the draws of a batch of one
    with that pair of seeds."""
    if seeds is not None:
        rows = [draw(replace(config, seed=s, timestep_seed=t), n_timesteps, (1, *shape[1:]), step) for s, t in seeds]
        return torch.cat([t for t, _ in rows]), torch.cat([noise for _, noise in rows])
    noise_step = 0 if config.noise == SURFACE else step
    noise = torch.randn(tuple(shape), generator=named_generator(config.seed, "noise", noise_step))
    return draw_timesteps(config, n_timesteps, shape[0], step, group), noise
