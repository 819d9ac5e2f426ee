"""Two thirds of the shape and one of the texture, whatever they are."""

from __future__ import annotations

from torch import Tensor

from .base import BalanceConfig


class Thirds:
    """Weights 2/3 and 1/3: no setting."""

    summary = "two thirds of the shape, one of the texture"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        third = grad_shape.new_full((len(grad_shape),), 1 / 3)
        return 2 * third, third
