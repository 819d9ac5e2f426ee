"""The noise levels that a step looks at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..settings import check_settings, setting
from . import shared

# share of its fall that t_max has completed, by the share of the annealing that is over
ANNEALINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda u: u,  # ProlificDreamer (arXiv:2305.16213)
    "sqrt": math.sqrt,  # HiFA (arXiv:2305.18766): fast at first
}


@dataclass(frozen=True, kw_only=True)
class TimestepConfig:
    """Fractions of the schedule, 0 = no noise, 1 = pure noise; the defaults are ProlificDreamer's annealing."""

    t_min: float = shared.part(0.02, "Minimum noise on the pictures, as a fraction of the model's range.")
    t_max: float = shared.part(0.98, "Maximum noise at the start.")  # at least t_min
    t_max_end: float = shared.part(0.5, "Maximum noise at the end: late steps refine.")  # at least t_min
    anneal_end: float = shared.part(  # 0 = at once
        0.8, "When the maximum noise reaches its end value, as a fraction of the run."
    )
    anneal: str = setting(
        "linear", "How the maximum noise falls: evenly, or fast at first (sqrt, as in HiFA).", choices=tuple(ANNEALINGS)
    )
    draw: str = setting(
        "uniform",
        "uniform: any level between minimum and maximum. highest: always the maximum, as HiFA and SDI need it.",
        choices=("uniform", "highest"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("t_max", "t_max_end"):
            if getattr(self, name) < self.t_min:
                raise ValueError(f"{name} must be in [t_min, 1] = [{self.t_min}, 1], got {getattr(self, name)}.")


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


def shared_in_groups(drawn: Tensor, group: int) -> Tensor:
    """Draws [B] for single samples as one draw for each `group` of samples in a row: the first one's."""
    return drawn if group == 1 else drawn[::group].repeat_interleave(group)
