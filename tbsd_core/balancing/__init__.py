"""Balancers: two directions in, one weight for each out, per sample.

To add one: a new file with a class that takes a BalanceConfig and satisfies `base.Balancer` (and
`base.FilteringBalancer`, if it changes the directions), and a line in RULES; NAME_schedule, the same
reweighted over the run, follows from it. New settings go to `base.BalanceConfig`.
"""

from collections.abc import Callable

from .band import Band
from .base import BalanceConfig, Balancer, FilteringBalancer, Mixture, mix
from .cagrad import CAGrad, conflict_averse_weights
from .fixed import Fixed
from .mgda import MGDA, min_norm_weights, per_sample_dot
from .orthogonal import Orthogonal
from .pcgrad import PCGrad, PCGradShape
from .schedule_only import ScheduleOnly
from .scheduled import Scheduled, scheduled
from .schedules import ProgressSchedule
from .unit_schedule import UnitSchedule

RULES: dict[str, type] = {
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "pcgrad_shape": PCGradShape,
    "cagrad": CAGrad,
    "band": Band,
    "orthogonal": Orthogonal,
}
BALANCERS: dict[str, Callable[[BalanceConfig], Balancer]] = {
    "mgda_schedule": scheduled(MGDA),
    "mgda": MGDA,
    "schedule": ScheduleOnly,
    "unit_schedule": UnitSchedule,
    "fixed": Fixed,
    **RULES,
    **{f"{name}_schedule": scheduled(rule) for name, rule in RULES.items()},
}


def build_balancer(name: str, config: BalanceConfig) -> Balancer:
    """The balancer of that name. Raises ValueError listing the names."""
    if name not in BALANCERS:
        raise ValueError(f"balancer must be one of {', '.join(BALANCERS)}, got {name!r}.")
    return BALANCERS[name](config)


__all__ = [
    "BALANCERS",
    "CAGrad",
    "MGDA",
    "RULES",
    "BalanceConfig",
    "Balancer",
    "Band",
    "FilteringBalancer",
    "Fixed",
    "Mixture",
    "Orthogonal",
    "PCGrad",
    "PCGradShape",
    "ProgressSchedule",
    "ScheduleOnly",
    "Scheduled",
    "UnitSchedule",
    "build_balancer",
    "conflict_averse_weights",
    "min_norm_weights",
    "mix",
    "per_sample_dot",
]
