"""Schedules of a share over training: pure functions of progress, so that a resumed run continues exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..settings import check_settings, setting

# fraction of the way from start to end, by progress u in [0, 1]
KINDS: dict[str, Callable[[float], float]] = {
    "constant": lambda u: 0.0,
    "linear": lambda u: u,
    "cosine": lambda u: (1 - math.cos(math.pi * u)) / 2,  # slow at both ends
    "sqrt": lambda u: math.sqrt(u),  # fast at first
}


@dataclass(frozen=True, kw_only=True)
class ProgressSchedule:
    """The share of shape over the run; the default goes from all geometry to all texture."""

    kind: str = setting(  # constant stays at start
        "linear",
        "How the weight moves from shape to texture over the run.",
        choices=tuple(KINDS),
        widget="schedule",
    )
    start: float = setting(
        1.0,
        "Share of the shape at the start of the run; the texture gets the rest.",
        at_least=0.0,
        at_most=1.0,
        step=0.05,
        widget="schedule_start",
        optional=True,
    )
    end: float = setting(
        0.0,
        "Share of the shape at the end of the run; the texture gets the rest.",
        at_least=0.0,
        at_most=1.0,
        step=0.05,
        widget="schedule_end",
        optional=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, progress: float) -> float:
        """The share at `progress` in [0, 1]; exactly `start` and `end` at the two ends."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must be in [0, 1], got {progress}.")
        way = KINDS[self.kind](progress)
        return (1 - way) * self.start + way * self.end
