"""How a share moves over training: pure functions of progress, so that a resumed run continues exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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

    kind: str = "linear"  # constant (stays at start), linear, cosine or sqrt
    start: float = 1.0  # share at progress 0, in [0, 1]
    end: float = 0.0  # share at progress 1, in [0, 1]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}.")
        for name in ("start", "end"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}.")

    def __call__(self, progress: float) -> float:
        """The share at `progress` in [0, 1]; exactly `start` and `end` at the two ends."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must be in [0, 1], got {progress}.")
        way = KINDS[self.kind](progress)
        return (1 - way) * self.start + way * self.end
