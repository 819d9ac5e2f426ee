"""The state of a run between two steps, beside its scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..scenes.base import Scene
from .adapter import AdapterState
from .config import OptimConfig
from .distributed import WHOLE, Split
from .shared_adam import SharedAdam
from .skipping import BadSteps, make_optimizer

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "shared_adam": SharedAdam,
}


@dataclass
class OptimState:
    """The contents of a checkpoint besides the scene: the next step, the optimiser's moments, a LoRA."""

    step: int
    optimizer: torch.optim.Optimizer
    base_lrs: list[float]  # learning rates of its groups before any schedule
    adapter: AdapterState | None = None  # of methods that train one
    reused: dict[str, Tensor] = field(default_factory=dict)  # predictions by condition name, see reuse_steps
    signal: Tensor | None = None  # [2] running sums of normalization.neighbour_moments, if asked for
    split: Split = WHOLE  # the part of the views that this process has
    view_chunk: int = 0  # views (or pictures) that go through at once, see views.py; 0: all. Never part of a file
    bad: BadSteps = field(default_factory=BadSteps)

    @property
    def bad_steps(self) -> int:
        """Consecutive steps skipped because of a gradient that is not finite; waits for the newest step."""
        return self.bad.n

    @bad_steps.setter
    def bad_steps(self, n: int) -> None:
        self.bad = BadSteps(n)

    @classmethod
    def create(cls, scene: Scene, config: OptimConfig, adapter: AdapterState | None = None) -> OptimState:
        """The state before the first step; `adapter` comes from `create_adapter`.

        Raises:
            ValueError: an unknown optimiser.
        """
        name = config.optimizer
        if name == "auto":
            name = "adam" if scene.uses_cameras else "shared_adam"
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer must be auto, {' or '.join(OPTIMIZERS)}, got {name!r}.")
        groups = scene.parameter_groups(config.lr)
        betas = (config.beta1, config.beta2)
        optimizer = make_optimizer(OPTIMIZERS[name], groups, lr=config.lr, betas=betas, eps=config.eps)
        return cls(0, optimizer, [group["lr"] for group in optimizer.param_groups], adapter=adapter)
