"""A balancer times a progress schedule, with a floor on the shape weight.

With MGDA this is our reading of "a MGDA-inspired, time-varying weighting to shift focus from geometry to
texture as training progresses" (summary of TBSD, arXiv:2511.11710). The floor is ours: MGDA alone can give
the texture direction everything, and the object then drifts to another one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .base import BalanceConfig, Balancer, filtered


class Scheduled:
    """The weights (l, m) of a rule reweighted by the schedule's (r, 1 - r), with the same sum l + m:

        Z = (l r + m (1 - r)) / (l + m);  lambda_shape = max(l r / Z, a);  lambda_texture = m (1 - r) / Z

    with r = schedule(progress) and a = shape_floor (so the sum may grow by as much as a). Where the two
    factors contradict each other (Z = 0: one says all shape, the other all texture) the schedule decides. A
    texture direction of exactly zero leaves all weight of MGDA to the shape while r > 0.
    Reads `schedule` and `shape_floor`, and the settings of the rule.
    """

    def __init__(self, rule: Balancer, config: BalanceConfig) -> None:
        self._rule, self.config = rule, config

    def active(self, progress: float) -> tuple[bool, bool]:
        r = self.config.schedule(progress)
        has_shape, has_texture = self._rule.active(progress)
        return max(r * has_shape, self.config.shape_floor) > 0, r < 1 and has_texture

    def filter(self, grad_shape: Tensor, grad_texture: Tensor) -> tuple[Tensor, Tensor]:
        return filtered(self._rule, grad_shape, grad_texture)

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        r = self.config.schedule(progress)
        by_rule = self._rule(grad_shape, grad_texture, progress)
        total = by_rule[0] + by_rule[1]
        shape, texture = by_rule[0] * r, by_rule[1] * (1 - r)
        z = shape + texture
        safe_z = torch.where(z > 0, z, torch.ones_like(z))
        lambda_shape = torch.where(z > 0, total * (shape / safe_z), total * r)
        lambda_texture = torch.where(z > 0, total * (texture / safe_z), total * (1 - r))
        return lambda_shape.clamp_min(self.config.shape_floor), lambda_texture


def scheduled(rule: Callable[[BalanceConfig], Balancer]) -> Callable[[BalanceConfig], Balancer]:
    """A factory of balancers whose weights the schedule changes, from a factory of balancers."""
    return lambda config: Scheduled(rule(config), config)
