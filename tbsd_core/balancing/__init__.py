"""Balancers: two directions in, one weight for each out, per sample.

To add one: a new file with a class that takes a BalanceConfig and satisfies `base.Balancer` (and
`base.FilteringBalancer`, if it changes the directions), and a line in RULES with its file and its name;
NAME_schedule, its form with a schedule, follows. New settings go to `base.BalanceConfig`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

from .base import BalanceConfig, Balancer, mix
from .scheduled import scheduled
from .schedules import ProgressSchedule

Make = Callable[[BalanceConfig], Balancer]


def _loaded(places: Mapping[str, str]) -> dict[str, Make]:
    parts = {name: place.split(".") for name, place in places.items()}
    return {name: getattr(import_module(f".{file}", __name__), kind) for name, (file, kind) in parts.items()}


RULES = _loaded(
    {
        "mgda": "mgda.MGDA",
        "pcgrad": "pcgrad.PCGrad",
        "pcgrad_shape": "pcgrad.PCGradShape",
        "cagrad": "cagrad.CAGrad",
        "band": "band.Band",
        "orthogonal": "orthogonal.Orthogonal",
    }
)
WITHOUT_RULE = _loaded(
    {
        "schedule": "schedule_only.ScheduleOnly",
        "unit_schedule": "unit_schedule.UnitSchedule",
        "fixed": "fixed.Fixed",
    }
)
BALANCERS: dict[str, Make] = {
    "mgda_schedule": scheduled(RULES["mgda"]),  # the default comes first
    "mgda": RULES["mgda"],
    **WITHOUT_RULE,
    **RULES,
    **{f"{name}_schedule": scheduled(rule) for name, rule in RULES.items()},
}


def build_balancer(name: str, config: BalanceConfig) -> Balancer:
    """The balancer of that name. Raises ValueError listing the names."""
    if name not in BALANCERS:
        raise ValueError(f"balancer must be one of {', '.join(BALANCERS)}, got {name!r}.")
    return BALANCERS[name](config)


__all__ = ["BALANCERS", "RULES", "BalanceConfig", "Balancer", "ProgressSchedule", "build_balancer", "mix"]
