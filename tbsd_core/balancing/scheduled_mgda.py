"""MGDA times a progress schedule, with a floor on the shape weight.

Our reading of "a MGDA-inspired, time-varying weighting to shift focus from geometry to texture as
training progresses" (summary of TBSD, arXiv:2511.11710). The floor is ours: MGDA alone can give the
texture direction everything, and the object then drifts to another one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig
from .mgda import min_norm_weights


class ScheduledMGDA:
    """MGDA's weights (lam, 1 - lam) reweighted by the schedule's (r, 1 - r) and normalised:

        Z = lam r + (1 - lam)(1 - r);  lambda_shape = max(lam r / Z, a);  lambda_texture = (1 - lam)(1 - r) / Z

    with r = schedule(progress) and a = shape_floor (so the two may add up to as much as 1 + a). Where
    the two factors contradict each other (Z = 0: one says all shape, the other all texture) the
    schedule decides. A texture direction of exactly zero leaves weight 1 to the shape while r > 0.
    Reads `schedule` and `shape_floor`.
    """

    summary = "MGDA times a progress schedule, with a floor on the shape weight (default)"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        r = self.config.schedule(progress)
        return max(r, self.config.shape_floor) > 0, r < 1

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        r = self.config.schedule(progress)
        lam_shape, lam_texture = min_norm_weights(grad_shape, grad_texture)
        shape, texture = lam_shape * r, lam_texture * (1 - r)
        z = shape + texture
        safe_z = torch.where(z > 0, z, torch.ones_like(z))
        lambda_shape = torch.where(z > 0, shape / safe_z, torch.full_like(z, r))
        lambda_texture = torch.where(z > 0, texture / safe_z, torch.full_like(z, 1 - r))
        return lambda_shape.clamp_min(self.config.shape_floor), lambda_texture
