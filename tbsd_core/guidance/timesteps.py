"""Which noise levels a step looks at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# how much of its way t_max has fallen, by the part of the annealing that is over
ANNEALINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda u: u,  # ProlificDreamer (arXiv:2305.16213)
    "sqrt": math.sqrt,  # HiFA (arXiv:2305.18766): fast at first
}
DRAWS = ("uniform", "highest")


@dataclass(frozen=True, kw_only=True)
class TimestepConfig:
    """Fractions of the schedule, 0 = no noise, 1 = pure noise; the defaults are ProlificDreamer's annealing."""

    t_min: float = 0.02  # least noise, in [0, 1]
    t_max: float = 0.98  # most noise at the start of the run, in [t_min, 1]
    t_max_end: float = 0.5  # most noise from anneal_end on, in [t_min, 1]: late steps refine
    anneal_end: float = 0.8  # progress at which t_max has come down to t_max_end, in [0, 1]; 0 = at once
    anneal: str = "linear"  # how it comes down, a name in ANNEALINGS
    draw: str = "uniform"  # uniform over the range, or highest: always the most noise of this progress, as HiFA and SDI

    def __post_init__(self) -> None:
        if not 0 <= self.t_min <= 1:
            raise ValueError(f"t_min must be in [0, 1], got {self.t_min}.")
        for name in ("t_max", "t_max_end"):
            if not self.t_min <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [t_min, 1] = [{self.t_min}, 1], got {getattr(self, name)}.")
        if not 0 <= self.anneal_end <= 1:
            raise ValueError(f"anneal_end must be in [0, 1], got {self.anneal_end}.")
        for name, known in (("anneal", tuple(ANNEALINGS)), ("draw", DRAWS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}.")


def timestep_range(config: TimestepConfig, n_timesteps: int, progress: float) -> tuple[int, int]:
    """Lowest and highest timestep index, both included; the highest falls until anneal_end."""
    way = min(progress / config.anneal_end, 1.0) if config.anneal_end > 0 else 1.0
    way = ANNEALINGS[config.anneal](way)
    t_max = (1 - way) * config.t_max + way * config.t_max_end
    high = round(t_max * (n_timesteps - 1))
    return high if config.draw == "highest" else round(config.t_min * (n_timesteps - 1)), high


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
