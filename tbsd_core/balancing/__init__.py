"""Balancers: two directions in, one weight for each out, per sample.

To add one: a new file with a class that takes a BalanceConfig and satisfies `base.Balancer`, and a
line in BALANCERS. New settings go to `base.BalanceConfig`.
"""

from .base import BalanceConfig, Balancer
from .fixed import Fixed
from .mgda import MGDA, min_norm_weights, per_sample_dot
from .schedule_only import ScheduleOnly
from .scheduled_mgda import ScheduledMGDA
from .schedules import ProgressSchedule

BALANCERS: dict[str, type] = {
    "mgda_schedule": ScheduledMGDA,
    "mgda": MGDA,
    "schedule": ScheduleOnly,
    "fixed": Fixed,
}


def build_balancer(name: str, config: BalanceConfig) -> Balancer:
    """The balancer of that name. Raises ValueError listing the names."""
    if name not in BALANCERS:
        raise ValueError(f"balancer must be one of {', '.join(BALANCERS)}, got {name!r}.")
    return BALANCERS[name](config)


__all__ = [
    "BALANCERS",
    "MGDA",
    "BalanceConfig",
    "Balancer",
    "Fixed",
    "ProgressSchedule",
    "ScheduleOnly",
    "ScheduledMGDA",
    "build_balancer",
    "min_norm_weights",
    "per_sample_dot",
]
