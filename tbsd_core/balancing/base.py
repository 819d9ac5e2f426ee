"""The protocol of a balancer for guidance methods, and the settings that balancers share.

A balancer can give more than two weights per sample in two ways: as weights that broadcast against the directions (a
map over the latent cells, for example), or as a `FilteringBalancer`, which changes the directions before they are
weighted (a band of frequencies, a projection). `mix` adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor

from ..settings import check_settings, setting
from .schedules import ProgressSchedule


@dataclass(frozen=True, kw_only=True)
class BalanceConfig:
    """Settings of every balancer; each reads the ones its docstring names."""

    shape_floor: float = setting(  # under a schedule; ours
        0.1,
        "Minimum weight of the shape. Raise it if the object melts or turns into another one.",
        at_least=0.0,
        at_most=1.0,
        step=0.01,
    )
    schedule: ProgressSchedule = field(default_factory=ProgressSchedule)  # share of shape over the run
    conflict_aversion: float = setting(  # the paper: 0.4 to 0.5
        0.5,
        "For cagrad: how far it turns towards the direction that the mean neglects. 0 is the plain mean.",
        at_least=0.0,
        below=1.0,
        high=0.99,
        step=0.05,
        optional=True,
    )
    cutoff: float = setting(  # in cycles per latent cell; ours
        0.15,
        "For band: the border between shape (coarser) and texture (finer), in cycles per latent cell.",
        above=0.0,
        at_most=0.5,
        low=0.01,
        step=0.01,
        optional=True,
    )
    shape_share: float = setting(
        0.5, meaning='of "fixed": the weight of the shape; texture gets the rest', at_least=0.0, at_most=1.0
    )

    def __post_init__(self) -> None:
        check_settings(self)


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
        """(lambda_shape, lambda_texture), float32: [B], or anything else that broadcasts against the directions."""
        ...


@runtime_checkable
class FilteringBalancer(Protocol):
    """A balancer that changes the directions first; its weights come from the changed directions and apply to them."""

    def filter(
        self,
        grad_shape: Tensor,  # [B, C, h, w]
        grad_texture: Tensor,  # [B, C, h, w]
    ) -> tuple[Tensor, Tensor]:
        """The parts of the two directions that count, each [B, C, h, w]."""
        ...


@dataclass(frozen=True)
class Mixture:
    """The result of a balancer for two directions.

    Args:
        grad: [B, C, h, w], the weighted sum.
        lambda_shape, lambda_texture: [B], the weights; their means where a sample has several.
    """

    grad: Tensor
    lambda_shape: Tensor
    lambda_texture: Tensor


def filtered(balancer: Balancer, grad_shape: Tensor, grad_texture: Tensor) -> tuple[Tensor, Tensor]:
    """The directions [B, C, h, w] that a balancer's weights apply to."""
    if isinstance(balancer, FilteringBalancer):
        return balancer.filter(grad_shape, grad_texture)
    return grad_shape, grad_texture


def mix(
    balancer: Balancer,
    grad_shape: Tensor,  # [B, C, h, w]
    grad_texture: Tensor,  # [B, C, h, w]
    progress: float,  # in [0, 1]
) -> Mixture:
    """Filter the directions if the balancer does, weight them, and add them up."""
    shape, texture = filtered(balancer, grad_shape, grad_texture)
    weights = balancer(shape, texture, progress)
    by_shape, by_texture = (w.view(-1, *(1,) * (shape.ndim - 1)) if w.ndim == 1 else w for w in weights)
    means = (w if w.ndim == 1 else w.expand(len(shape), *w.shape[1:]).flatten(1).mean(1) for w in weights)
    return Mixture(by_shape * shape + by_texture * texture, *means)
