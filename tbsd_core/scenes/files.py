"""A scene as one safetensors file: its tensors, with its kind and configuration as JSON metadata."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..atomic import atomic_path
from ..configuration import from_plain, to_plain
from .base import Scene

FORMAT = "tbsd-scene-1"


def save_scene(scene: Scene, path: Path) -> None:
    """Write a scene; the file appears complete or not at all."""
    from safetensors.torch import save_file

    from . import SCENES

    kind = next(name for name, (scene_class, _) in SCENES.items() if type(scene) is scene_class)
    metadata = {"format": FORMAT, "scene": kind, "config": json.dumps(to_plain(scene.config))}
    tensors = {k: v.detach().cpu().contiguous() for k, v in scene.state_dict().items()}
    with atomic_path(path) as partial:
        save_file(tensors, str(partial), metadata=metadata)


def load_scene(path: Path) -> Scene:
    """Read what `save_scene` wrote.

    Raises:
        ValueError: the file is damaged, is not a scene, or is of a kind or configuration that this version lacks.
    """
    from safetensors import SafetensorError, safe_open

    from . import SCENES

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"The scene file {path.name} cannot be read ({error}).") from error
    if metadata.get("format") != FORMAT or metadata.get("scene") not in SCENES:
        raise ValueError(
            f"{path.name} is not a scene of this version: expected format {FORMAT} and one of {', '.join(SCENES)}, "
            f"got {metadata.get('format')} and {metadata.get('scene')}."
        )
    scene_class, config_class = SCENES[metadata["scene"]]
    scene = scene_class(from_plain(config_class, json.loads(metadata["config"])))
    expected = {k: v.shape for k, v in scene.state_dict().items()}
    if expected != {k: v.shape for k, v in tensors.items()}:
        raise ValueError(f"{path.name} is damaged: its tensors do not fit its own configuration.")
    scene.load_state_dict(tensors)
    return scene


def copy_scene(scene: Scene, device: torch.device | str = "cpu") -> Scene:
    """An independent scene of the same configuration and values, with fresh trainable parameters."""
    copy = type(scene)(scene.config)
    copy.load_state_dict({k: v.detach().clone() for k, v in scene.state_dict().items()})
    return copy.to(device)
