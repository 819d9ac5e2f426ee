"""What a scene file holds of the run that the scene is in, so that another run can go on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..configuration import differences, to_plain
from .checkpoint import load_moments, moments, prefixed, without
from .config import OptimConfig
from .loop import OptimState

FORMAT = "tbsd-run-1"


@dataclass(frozen=True)
class Snapshot:
    """Step, settings and optimiser state of a run between two steps."""

    step: int  # steps done
    bad_steps: int
    config: dict[str, Any]  # the OptimConfig as plain data
    tensors: dict[str, Tensor]  # moments, reused predictions and a LoRA, on the CPU

    def about(self) -> str:
        """All but the tensors as JSON."""
        return json.dumps({"format": FORMAT, "step": self.step, "bad_steps": self.bad_steps, "config": self.config})


def take_snapshot(state: OptimState, config: OptimConfig) -> Snapshot:
    """A copy of the state, which further steps do not change."""
    tensors = moments("optimizer", state.optimizer) | prefixed("reused", state.reused)
    if state.adapter is not None:
        tensors |= prefixed("lora", state.adapter.adapter.state_dict())
        tensors |= moments("lora_optimizer", state.adapter.optimizer)
    copies = {name: value.clone() for name, value in tensors.items()}
    return Snapshot(state.step, state.bad_steps, to_plain(config), copies)


def read_snapshot(about: str, tensors: Mapping[str, Tensor], source: str) -> Snapshot:
    """What `Snapshot.about` and its tensors say. Raises ValueError naming `source` where they are damaged."""
    try:
        found = json.loads(about)
        step, bad_steps, config = found["step"], found["bad_steps"], found["config"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"The run in {source} is damaged ({error}).") from error
    if found["format"] != FORMAT or not isinstance(config, dict):
        raise ValueError(f"The run in {source} is of another version ({found['format']!r}, expected {FORMAT}).")
    if not all(isinstance(n, int) and n >= 0 for n in (step, bad_steps)):
        raise ValueError(f"The run in {source} is damaged: it has done {step!r} steps.")
    return Snapshot(step, bad_steps, config, dict(tensors))


def go_on(snapshot: Snapshot, state: OptimState, config: OptimConfig) -> list[str]:
    """Set `state` to where the run was; returns what differs from its settings, a line each.

    Raises:
        ValueError: its steps are done, or the optimiser's state is of another scene or method.
    """
    if snapshot.step >= config.n_steps:
        raise ValueError(
            f"The run of this scene has done {snapshot.step} steps, and steps is {config.n_steps}. Set steps to more "
            "to go on with it, or turn resume off to begin a new run."
        )
    adapter = state.adapter
    if (adapter is not None) != any(name.startswith("lora.") for name in snapshot.tensors):
        what = "trained no LoRA, and this method does" if adapter else "trained a LoRA, and this method does not"
        raise ValueError(f"The run of this scene {what}. Connect the guidance that it had, or turn resume off.")
    try:
        load_moments(state.optimizer, "optimizer", snapshot.tensors)
        check_moments(state)
        if adapter is not None:
            adapter.adapter.load_state_dict(without("lora", snapshot.tensors))
            load_moments(adapter.optimizer, "lora_optimizer", snapshot.tensors)
    except (ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"The run of this scene cannot be gone on with: {error} Turn resume off.") from error
    device = next(iter(state.optimizer.param_groups[0]["params"])).device
    state.reused = {name: value.to(device) for name, value in without("reused", snapshot.tensors).items()}
    state.step, state.bad_steps = snapshot.step, snapshot.bad_steps
    changed = differences(snapshot.config, json.loads(json.dumps(to_plain(config))))
    return [f"{name} {text}" for name, text in changed.items()]


def check_moments(state: OptimState) -> None:
    """Raise ValueError for moments of other shapes than their parameters'; shared ones have 1 where they are shared."""
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            for name, value in state.optimizer.state.get(parameter, {}).items():
                fits = value.ndim == parameter.ndim and all(
                    n in (1, m) for n, m in zip(value.shape, parameter.shape, strict=True)
                )
                if value.ndim and not fits:
                    raise ValueError(f"{name} is {list(value.shape)}, its parameter {list(parameter.shape)}.")
