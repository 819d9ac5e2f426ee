"""What a guidance method asks of a balancer, and the settings that balancers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from .schedules import ProgressSchedule


@dataclass(frozen=True, kw_only=True)
class BalanceConfig:
    """Settings of every balancer; each reads the ones its docstring names."""

    shape_floor: float = 0.1  # least weight of the shape direction under a schedule, in [0, 1]
    shape_share: float = 0.5  # weight of the shape direction of "fixed", in [0, 1]; texture gets the rest
    schedule: ProgressSchedule = field(default_factory=ProgressSchedule)  # share of shape over the run

    def __post_init__(self) -> None:
        for name in ("shape_floor", "shape_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}.")


class Balancer(Protocol):
    """Weights of two directions; a pure function of them and of training progress, per sample."""

    def active(self, progress: float) -> tuple[bool, bool]:
        """Whether the weight of (shape, texture) can differ from zero at this progress, whatever the directions."""
        ...

    def __call__(
        self,
        grad_shape: Tensor,  # [B, ...]
        grad_texture: Tensor,  # [B, ...]
        progress: float,  # in [0, 1]
    ) -> tuple[Tensor, Tensor]:
        """(lambda_shape [B], lambda_texture [B]), float32."""
        ...
