"""The views of a step split over processes, one per device, as torchrun starts them.

Every process draws the cameras, timesteps and noise of all views, renders its own, and steps with the mean of all
gradients; so all hold the same scene after every step, and it equals the scene of one process up to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ..guidance.base import Guidance, TrainingGuidance, TrajectoryGuidance
from ..scenes.base import Scene
from .config import OptimConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """Which part of the views this process has."""

    rank: int = 0
    size: int = 1

    def own(self, rows: T) -> T:
        """This process's rows of a tensor, or of cameras, with a row per view."""
        n = len(rows) // self.size  # type: ignore[arg-type]
        return rows[self.rank * n : (self.rank + 1) * n]  # type: ignore[index]

    def views(self, own: slice, n: int) -> tuple[range, int]:
        """This process's n views among the views of all processes, and how many these are."""
        return range(self.rank * n + own.start, self.rank * n + own.stop), n * self.size

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a value over the processes."""
        if self.size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.size
        return value

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes; one that no process has stays None."""
        if self.size == 1:
            return
        parameters = list(parameters)
        has = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        torch.distributed.all_reduce(has)
        for parameter, n in zip(parameters, has.tolist(), strict=True):
            if n:
                grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.mean(grad)


WHOLE = Split()


def check_split(split: Split, config: OptimConfig, scene: Scene, guidance: Guidance) -> None:
    """Raise ValueError for a run that cannot be split, with what to do instead."""
    if split.size == 1:
        return
    name = type(guidance).__name__
    if not scene.uses_cameras:
        raise ValueError("Only the views of a 3D scene can be split over processes. Run pictures with `sweep`.")
    if config.views_per_step % split.size:
        raise ValueError(
            f"views_per_step must be a multiple of the {split.size} processes, got {config.views_per_step}. Set "
            f"optim.views_per_step to {split.size * -(-config.views_per_step // split.size)}."
        )
    if isinstance(guidance, TrainingGuidance):
        raise ValueError(f"{name} trains a LoRA on all views of a step, so they cannot be split. Use one process.")
    if isinstance(guidance, TrajectoryGuidance):
        raise ValueError(f"{name} draws noise on its way, so its views cannot be split. Use one process.")


@contextmanager
def process_group(device: str) -> Iterator[Split]:
    """The part of this process among those that torchrun started; the whole without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield WHOLE
        return
    # Modules behind torch.optim take the group as a default argument when they are imported. Imported after the
    # group is made, they keep it past its end, and its threads can then abort the process as Python exits.
    import torch._dynamo  # noqa: F401

    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Split(torch.distributed.get_rank(), size)
    finally:
        torch.distributed.destroy_process_group()
