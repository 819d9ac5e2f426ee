"""Checkpoints as safetensors + JSON: no pickle, written atomically, bit-exact to resume from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from ..scenes.base import Scene
from .loop import OptimState

TENSORS, META = "checkpoint.safetensors", "checkpoint.json"
FORMAT = 1


def save_checkpoint(folder: Path, scene: Scene, state: OptimState, config: dict[str, Any]) -> None:
    """Write scene, optimiser moments and step to `folder`; `config` is the run's plain-data configuration.

    The tensors carry the step, too, and each file is replaced in one move: an interrupt leaves the old
    checkpoint or the new one, and a mixed pair is recognised on loading.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = _prefixed("scene", scene.state_dict()) | _moments("optimizer", state.optimizer)
    tensors |= _prefixed("reused", state.reused)
    if state.adapter is not None:
        tensors |= _prefixed("lora", state.adapter.adapter.state_dict())
        tensors |= _moments("lora_optimizer", state.adapter.optimizer)
    meta = {"format": FORMAT, "step": state.step, "bad_steps": state.bad_steps, "config": config}
    partial = folder / (TENSORS + ".partial")
    save_file(tensors, str(partial), metadata={"step": str(state.step)})
    os.replace(partial, folder / TENSORS)
    partial = folder / (META + ".partial")
    partial.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / META)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration stored with a checkpoint. Raises ValueError if there is none or it is damaged."""
    return _read_meta(folder)["config"]


def load_checkpoint(folder: Path, scene: Scene, state: OptimState) -> None:
    """Restore scene and optimiser state in place.

    Raises:
        ValueError: nothing there, a damaged file, or a checkpoint of another scene configuration.
    """
    from safetensors import SafetensorError, safe_open

    meta = _read_meta(folder)
    path = folder / TENSORS
    try:
        with safe_open(str(path), framework="pt") as file:
            step = int((file.metadata() or {}).get("step", -1))
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"The checkpoint {path} cannot be read ({error}). Start the run anew.") from error
    if step != meta["step"]:
        raise ValueError(
            f"The checkpoint in {folder} is incomplete: its tensors are of step {step}, "
            f"its JSON of step {meta['step']}. Start the run anew."
        )
    adapter = state.adapter
    if (adapter is not None) != any(k.startswith("lora.") for k in tensors):
        what = "no LoRA, and this method trains one" if adapter else "a LoRA, and this method trains none"
        raise ValueError(f"The checkpoint in {folder} is of another method: it holds {what}.")
    _load_module(scene, "scene", tensors, folder)
    _load_moments(state.optimizer, "optimizer", tensors)
    if adapter is not None:
        _load_module(adapter.adapter, "lora", tensors, folder)
        _load_moments(adapter.optimizer, "lora_optimizer", tensors)
    device = next(scene.parameters()).device
    state.reused = {name: v.to(device) for name, v in _without("reused", tensors).items()}
    state.step, state.bad_steps = meta["step"], meta["bad_steps"]


def load_run_scene(folder: Path) -> Scene:
    """The scene of a run's checkpoint alone, on the CPU: no prior has to be there.

    Raises:
        ValueError: nothing there, a damaged file, or a scene that this version lacks.
    """
    from safetensors import SafetensorError, safe_open

    from ..configuration import from_plain
    from ..scenes import SCENES

    config = read_config(folder)
    if config.get("scene_name") not in SCENES:
        raise ValueError(f"The checkpoint in {folder} is of the unknown scene {config.get('scene_name')!r}.")
    scene_class, config_class = SCENES[config["scene_name"]]
    scene = scene_class(from_plain(config_class, config["scene"]))
    try:
        with safe_open(str(folder / TENSORS), framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys() if k.startswith("scene.")}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"The checkpoint {folder / TENSORS} cannot be read ({error}).") from error
    _load_module(scene, "scene", tensors, folder)
    return scene


def _prefixed(prefix: str, tensors: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{k}": torch.as_tensor(v).detach().cpu().contiguous() for k, v in tensors.items()}


def _without(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}


def _moments(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    found = optimizer.state_dict()["state"].items()
    return {k: v for index, moments in found for k, v in _prefixed(f"{prefix}.{index}", moments).items()}


def _load_moments(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    stored = optimizer.state_dict()
    stored["state"] = {}
    for key, value in _without(prefix, tensors).items():
        index, name = key.split(".", 1)
        stored["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(stored)


def _load_module(module: Any, prefix: str, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    found = _without(prefix, tensors)
    expected = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    got = {k: tuple(v.shape) for k, v in found.items()}
    if expected != got:
        different = sorted(k for k in expected.keys() | got.keys() if expected.get(k) != got.get(k))
        raise ValueError(
            f"The checkpoint in {folder} is of another {prefix}: {different[0]} is {got.get(different[0])}, "
            f"expected {expected.get(different[0])}."
        )
    module.load_state_dict(found)


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"No checkpoint in {folder}: {META} is missing.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"The checkpoint file {path} is damaged ({error}).") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT or not {"step", "config", "bad_steps"} <= meta.keys():
        raise ValueError(f"{path} is not a checkpoint of this program (format {FORMAT}).")
    return meta
