"""Checkpoints: one safetensors file each, no pickle, checked by a digest, bit-exact to resume from.

Everything is in one file, which is complete on the disk before it takes its name, and the one before it
is kept. So whatever moment a process is killed at, there is a state to go on from.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..scenes.base import Scene
from .loop import OptimState
from .records import Curves

NEWEST, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"
PARTIAL = "checkpoint.partial"
FORMAT = 2
KEYS = {"format", "step", "bad_steps", "config", "curves"}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds."""

    config: dict[str, Any]  # the run's plain-data configuration
    step: int  # steps done
    bad_steps: int
    tensors: dict[str, torch.Tensor]
    curves: Curves
    warning: str = ""  # why the previous file was taken; "" for the newest one


def save_checkpoint(
    folder: Path,
    scene: Scene,
    state: OptimState,
    config: dict[str, Any],
    curves: Curves | None = None,
    keep_newest: bool = True,  # as the previous one; False where it is damaged or of another run
) -> None:
    """Write scene, optimiser moments, step and curves to `folder`; `config` is the run's plain configuration.

    Raises:
        OSError: it could not be written. The checkpoints that were there are as they were.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    curves = curves or Curves()
    tensors = prefixed("scene", scene.state_dict()) | moments("optimizer", state.optimizer)
    tensors |= prefixed("reused", state.reused)
    if state.adapter is not None:
        tensors |= prefixed("lora", state.adapter.adapter.state_dict())
        tensors |= moments("lora_optimizer", state.adapter.optimizer)
    tensors |= prefixed("curves", curves.to_tensors())
    about = {"seconds": curves.seconds, "skipped_steps": curves.skipped}
    text = json.dumps(
        {"format": FORMAT, "step": state.step, "bad_steps": state.bad_steps, "config": config, "curves": about}
    )
    partial, newest = folder / PARTIAL, folder / NEWEST
    try:
        try:
            save_file(tensors, str(partial), metadata={"run": text, "sha256": _digest(text, tensors)})
        except Exception as error:  # the library's own type, also for a full disk
            raise OSError(f"The checkpoint {newest} could not be written ({error}).") from error
        _to_disk(partial)
        if keep_newest and newest.exists():
            os.replace(newest, folder / PREVIOUS)
        os.replace(partial, newest)
        _to_disk(folder)
        if not keep_newest:
            (folder / PREVIOUS).unlink(missing_ok=True)
    finally:
        partial.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The newest checkpoint in `folder`, or the previous one with a warning where the newest is damaged or missing.

    Raises:
        ValueError: there is none that can be used.
    """
    problems = []
    for name in (NEWEST, PREVIOUS):
        try:
            found = _read(folder / name)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        if not problems:
            return found
        warning = f"{problems[0]} Going on from the one before it, of step {found.step}."
        return Checkpoint(found.config, found.step, found.bad_steps, found.tensors, found.curves, warning)
    if not any((folder / name).exists() for name in (NEWEST, PREVIOUS)):
        raise ValueError(f"There is no checkpoint in {folder}: {NEWEST} is missing.")
    raise ValueError(" ".join(problems) + " Start the run anew.")


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration stored with a checkpoint. Raises ValueError if there is none or it is damaged."""
    return read_checkpoint(folder).config


def load_checkpoint(folder: Path, scene: Scene, state: OptimState) -> Checkpoint:
    """Restore scene and optimiser state in place; returns what was read.

    Raises:
        ValueError: nothing there, a damaged file, or a checkpoint of another scene configuration.
    """
    found = read_checkpoint(folder)
    tensors, adapter = found.tensors, state.adapter
    if (adapter is not None) != any(k.startswith("lora.") for k in tensors):
        what = "no LoRA, and this method trains one" if adapter else "a LoRA, and this method trains none"
        raise ValueError(f"The checkpoint in {folder} is of another method: it holds {what}.")
    _load_module(scene, "scene", tensors, folder)
    load_moments(state.optimizer, "optimizer", tensors)
    if adapter is not None:
        _load_module(adapter.adapter, "lora", tensors, folder)
        load_moments(adapter.optimizer, "lora_optimizer", tensors)
    device = next(scene.parameters()).device
    state.reused = {name: v.to(device) for name, v in without("reused", tensors).items()}
    state.step, state.bad_steps = found.step, found.bad_steps
    return found


def load_run_scene(folder: Path) -> Scene:
    """The scene of a run's checkpoint alone, on the CPU: no prior has to be there.

    Raises:
        ValueError: nothing there, a damaged file, or a scene that this version lacks.
    """
    from ..scenes import SCENES
    from ..scenes.files import scene_of

    found = read_checkpoint(folder)
    kind = found.config.get("scene_name")
    if kind not in SCENES:
        raise ValueError(f"The checkpoint in {folder} is of the unknown scene {kind!r}.")
    return scene_of(kind, found.config.get("scene"), without("scene", found.tensors), f"The checkpoint in {folder}")


def _read(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise ValueError(f"The checkpoint {path} is missing.") from error
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The checkpoint {path} cannot be read ({error}).") from error
    text = metadata.get("run", "")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ValueError(f"The checkpoint {path} is damaged: its content does not match its checksum.")
    about = json.loads(text)
    if about.get("format") != FORMAT or not about.keys() >= KEYS:
        raise ValueError(f"{path} is not a checkpoint of this version (format {FORMAT}).")
    told = about["curves"]
    curves = Curves.from_tensors(without("curves", tensors), told["seconds"], told["skipped_steps"])
    return Checkpoint(about["config"], about["step"], about["bad_steps"], tensors, curves)


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name, value in sorted(tensors.items()):
        found.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode("utf-8", "surrogatepass"))
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def prefixed(prefix: str, tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{k}": torch.as_tensor(v).detach().cpu().contiguous() for k, v in tensors.items()}


def without(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}


def moments(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    found = optimizer.state_dict()["state"].items()
    return {k: v for index, moments in found for k, v in prefixed(f"{prefix}.{index}", moments).items()}


def load_moments(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    stored = optimizer.state_dict()
    stored["state"] = {}
    for key, value in without(prefix, tensors).items():
        index, name = key.split(".", 1)
        stored["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(stored)


def _load_module(module: Any, prefix: str, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    found = without(prefix, tensors)
    expected = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    got = {k: tuple(v.shape) for k, v in found.items()}
    if expected != got:
        different = sorted(k for k in expected.keys() | got.keys() if expected.get(k) != got.get(k))
        raise ValueError(
            f"The checkpoint in {folder} is of another {prefix}: {different[0]} is {got.get(different[0])}, "
            f"expected {expected.get(different[0])}."
        )
    module.load_state_dict(found)
