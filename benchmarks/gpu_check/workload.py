"""Steps of a scene under a prior, as several parts of the check measure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tbsd_core.benchmark.models import random_prior
from tbsd_core.benchmark.scenes import MEASURED, measured_experiment
from tbsd_core.optim import OptimConfig, OptimState
from tbsd_core.priors.small_world.learned import load_learned_prior

QUICK_SCENES = ("gaussian",)
# a prior by name, its dtype (demo: float32), and the views a step renders with it
PRIORS: dict[str, tuple[Callable[[str], Any], int]] = {
    "demo": (lambda device: load_learned_prior(device=device), 4),
    "sd15 float16": (lambda device: random_prior("sd15", device, torch.float16), 1),
}


def scenes(quick: bool) -> tuple[str, ...]:
    return QUICK_SCENES if quick else tuple(MEASURED)


@dataclass(frozen=True)
class Workload:
    """A scene with its optimiser state, and its steps one by one."""

    scene: Any
    state: OptimState
    steps: Iterator


def workload(prior: Any, scene_name: str, method: str, device: str, size: int, views: int) -> Workload:
    """`size` pixels of each picture or view; everything that is drawn is the same on every device."""
    optim = OptimConfig(n_steps=1000, size=size, views_per_step=views)
    run = measured_experiment(scene_name, method, prior, size, optim, device)
    return Workload(run.scene, run.state, run.steps())
