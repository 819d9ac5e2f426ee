"""A trainable function of position: points in [-1, 1]^3 -> 4 raw values (density logit, 3 colour logits)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_RAW = 4


def normal(shape: Sequence[int], std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=generator) * std)


class Encoding(nn.Module, ABC):
    """A trainable function of position, made of the resolutions of its levels and the generator of its start."""

    twice_differentiable: ClassVar[bool] = False  # by its points

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, points: Tensor) -> Tensor:
        """Raw values [N, 4] at points [N, 3]."""

    @abstractmethod
    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Parameter groups for torch.optim, each with its own learning rate derived from `lr`."""

    @abstractmethod
    def total_variation(self) -> Tensor:
        """Mean absolute difference of neighbours on the finest level, summed over the axes."""


class Decoder(nn.Module):
    """A small MLP from features [N, C] to raw values [N, 4], drawn from `generator` alone."""

    def __init__(self, n_features: int, generator: torch.Generator, hidden: int = 32) -> None:
        super().__init__()
        self.w1 = normal((hidden, n_features), math.sqrt(2 / n_features), generator)
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = normal((N_RAW, hidden), 0.1 / math.sqrt(hidden), generator)
        self.b2 = nn.Parameter(torch.zeros(N_RAW))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.relu(F.linear(features, self.w1, self.b1)), self.w2, self.b2)
