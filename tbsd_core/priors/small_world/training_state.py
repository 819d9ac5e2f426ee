"""A training whose state is in a file, so that the same command resumes it with the same result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...atomic import atomic_path
from .train import cosine_lr

logger = logging.getLogger(__name__)

KEPT_EVERY = 60.0  # seconds
SHOWN_EVERY = 20  # steps


class FineTuning(Protocol):
    """Settings that every fine-tuning has."""

    @property
    def steps(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def ema(self) -> float: ...


def fine_tune(
    path: Path,  # of the state
    model: nn.Module,
    groups: Sequence[dict[str, Any]],  # of parameters, as AdamW takes them, each with its `base_lr`
    config: FineTuning,
    warmup: int,  # steps
    losses: Callable[[torch.Generator], tuple[Tensor, Tensor]],  # of one step: the loss, and the error to show
) -> dict[str, Tensor]:
    """Train `model`, or resume its training; returns the moving average of its weights, which it has in the end.

    The draws of a step come from a generator of its own, so they are the same after an interruption.
    """
    ema = {k: v.detach().clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=1e-3)
    first = go_on(path, model, ema, optimizer)
    start = last = time.monotonic()
    running = 0.0
    for step in range(first, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * cosine_lr(step / config.steps, step, warmup)
        loss, error = losses(torch.Generator().manual_seed(config.seed * 1_000_003 + step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average(ema, model, config.ema, step)
        running = float(error) if step == first else 0.98 * running + 0.02 * float(error)
        if step % SHOWN_EVERY == 0:
            logger.info("%d/%d  mse %.4f  %.1f min", step, config.steps, running, (time.monotonic() - start) / 60)
        if time.monotonic() - last > KEPT_EVERY:
            keep(path, model, ema, optimizer, step + 1)
            last = time.monotonic()
    keep(path, model, ema, optimizer, config.steps)
    model.load_state_dict(ema)
    return ema


def keep(path: Path, model: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write the state of the training, all or nothing."""
    from safetensors.torch import save_file

    tensors = {f"ema.{k}": v for k, v in ema.items()} | {f"now.{k}": v for k, v in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
    with atomic_path(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, str(temporary), metadata={"step": str(step)})


def go_on(path: Path, model: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Read the state that `keep` wrote into the given objects; returns the step that comes next, 0 without a file."""
    from safetensors import safe_open

    if not path.exists():
        return 0
    with safe_open(str(path), "pt") as file:
        step = int(file.metadata()["step"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}
    model.load_state_dict({k.removeprefix("now."): v for k, v in tensors.items() if k.startswith("now.")})
    for name, value in ema.items():
        value.copy_(tensors[f"ema.{name}"])
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, i, key = name.split(".")
            states.setdefault(int(i), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return step


@torch.no_grad()
def average(ema: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the model; at first it follows closely."""
    part = 1 - min(decay, (1 + step) / (10 + step))
    for name, value in model.state_dict().items():
        ema[name].lerp_(value, part)
