"""Undoes the changes of a step that failed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..scenes.base import Scene


class Undo:
    """A copy of a scene and of its optimiser's moments; calling it restores them in place."""

    @torch.no_grad()
    def __init__(self, scene: Scene, optimizer: torch.optim.Optimizer) -> None:
        self._tensors: list[Tensor] = [v for v in scene.state_dict().values() if isinstance(v, Tensor)]
        for moments in optimizer.state.values():
            self._tensors += [v for v in moments.values() if isinstance(v, Tensor)]
        self._copies = [v.clone() for v in self._tensors]

    @torch.no_grad()
    def __call__(self) -> None:
        for tensor, copy in zip(self._tensors, self._copies, strict=True):
            tensor.copy_(copy)
