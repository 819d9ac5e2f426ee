"""The state of a training in a file, so that the same command goes on after an interruption with the same result."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...atomic import atomic_path

KEPT_EVERY = 60.0  # seconds


def keep(path: Path, model: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write the state of the training, all or nothing."""
    from safetensors.torch import save_file

    tensors = {f"ema.{k}": v for k, v in ema.items()} | {f"now.{k}": v for k, v in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
    with atomic_path(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, str(temporary), metadata={"step": str(step)})


def go_on(path: Path, model: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Read what `keep` wrote into the given objects; returns the step that comes next, 0 where there is no file."""
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
