"""The state of a run as tensors by name, on the CPU, and back; they are written beside a scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .state import OptimState


def state_tensors(state: OptimState) -> dict[str, Tensor]:
    """Moments of optimisers and gradient, reused predictions and a LoRA: a copy that further steps do not change."""
    tensors = _moments("optimizer", state.optimizer) | prefixed("reused", state.reused)
    if state.signal is not None:
        tensors |= prefixed("gradient", {"signal": state.signal})
    if state.adapter is not None:
        tensors |= prefixed("lora", state.adapter.adapter.state_dict())
        tensors |= _moments("lora_optimizer", state.adapter.optimizer)
    return {name: value.clone() for name, value in tensors.items()}


def load_state(state: OptimState, tensors: Mapping[str, Tensor], step: int, bad_steps: int) -> None:
    """Load tensors into a state; further steps do not change these tensors.

    Raises:
        ValueError: they belong to another scene, optimiser or method.
    """
    tensors = {name: value.clone() for name, value in tensors.items()}  # optimisers take them as they are
    adapter = state.adapter
    if (adapter is not None) != any(name.startswith("lora.") for name in tensors):
        what = "holds no LoRA, and this method trains one" if adapter else "holds a LoRA, and this method trains none"
        raise ValueError(f"it is of another method: it {what}.")
    try:
        _load_moments(state.optimizer, "optimizer", tensors)
        _check_moments(state)
        if adapter is not None:
            adapter.adapter.load_state_dict(without("lora", tensors))
            _load_moments(adapter.optimizer, "lora_optimizer", tensors)
    except (KeyError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    device = next(iter(state.optimizer.param_groups[0]["params"])).device
    state.reused = {name: value.to(device) for name, value in without("reused", tensors).items()}
    signal = tensors.get("gradient.signal")
    state.signal = None if signal is None else signal.to(device)
    state.step, state.bad_steps = step, bad_steps


def prefixed(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Under longer names, on the CPU, ready to be written."""
    return {f"{prefix}.{k}": torch.as_tensor(v).detach().cpu().contiguous() for k, v in tensors.items()}


def without(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names have this prefix, without the prefix."""
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}


def _moments(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser by name, on the CPU."""
    found = optimizer.state_dict()["state"].items()
    return {k: v for index, own in found for k, v in prefixed(f"{prefix}.{index}", own).items()}


def _load_moments(optimizer: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """The other way round."""
    stored = optimizer.state_dict()
    stored["state"] = {}
    for key, value in without(prefix, tensors).items():
        index, name = key.split(".", 1)
        stored["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(stored)


def _check_moments(state: OptimState) -> None:
    """Raise ValueError for moments of other shapes than their parameters'; shared ones have 1 where they are shared."""
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            for name, value in state.optimizer.state.get(parameter, {}).items():
                fits = value.ndim == parameter.ndim and all(
                    n in (1, m) for n, m in zip(value.shape, parameter.shape, strict=True)
                )
                if value.ndim and not fits:
                    raise ValueError(f"{name} is {list(value.shape)}, its parameter {list(parameter.shape)}.")
