"""Which noise levels a step looks at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TimestepConfig:
    """Fractions of the schedule, 0 = no noise, 1 = pure noise; the defaults are ProlificDreamer's annealing."""

    t_min: float = 0.02  # least noise, in [0, 1]
    t_max: float = 0.98  # most noise at the start of the run, in [t_min, 1]
    t_max_end: float = 0.5  # most noise from anneal_end on, in [t_min, 1]: late steps refine
    anneal_end: float = 0.8  # progress at which t_max has come down to t_max_end, in [0, 1]; 0 = at once

    def __post_init__(self) -> None:
        if not 0 <= self.t_min <= 1:
            raise ValueError(f"t_min must be in [0, 1], got {self.t_min}.")
        for name in ("t_max", "t_max_end"):
            if not self.t_min <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [t_min, 1] = [{self.t_min}, 1], got {getattr(self, name)}.")
        if not 0 <= self.anneal_end <= 1:
            raise ValueError(f"anneal_end must be in [0, 1], got {self.anneal_end}.")


def timestep_range(config: TimestepConfig, n_timesteps: int, progress: float) -> tuple[int, int]:
    """Lowest and highest timestep index, both included; the highest falls linearly until anneal_end."""
    way = min(progress / config.anneal_end, 1.0) if config.anneal_end > 0 else 1.0
    t_max = (1 - way) * config.t_max + way * config.t_max_end
    return round(config.t_min * (n_timesteps - 1)), round(t_max * (n_timesteps - 1))


def sample_timesteps(
    config: TimestepConfig,
    n_timesteps: int,
    batch: int,
    progress: float,  # in [0, 1]
    generator: torch.Generator,
) -> Tensor:
    """Timestep indices [batch], long, on the CPU: independent and uniform over the range of this progress."""
    low, high = timestep_range(config, n_timesteps, progress)
    return torch.randint(low, high + 1, (batch,), generator=generator)
