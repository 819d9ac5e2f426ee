"""A scene as one safetensors file: its tensors, with its kind and configuration as JSON metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..atomic import atomic_path
from ..configuration import from_plain, to_plain
from .base import Scene

FORMAT = "tbsd-scene-1"
MAX_CONFIG = 100_000  # characters; those of this version have some hundred
ATTACHED = "attached."  # before the names of tensors that are not the scene's


@dataclass(frozen=True)
class Attachment:
    """What travels in the file of a scene beside it: the state of its run, which scenes know nothing of."""

    about: str  # JSON
    tensors: Mapping[str, Tensor]


def save_scene(scene: Scene, path: Path, attachment: Attachment | None = None) -> None:
    """Write a scene; the file appears complete or not at all, and is on the disk when this returns."""
    from safetensors.torch import save_file

    from . import SCENES

    kind = next(name for name, spec in SCENES.items() if type(scene) is spec.scene)
    metadata = {"format": FORMAT, "scene": kind, "config": json.dumps(to_plain(scene.config))}
    tensors = {k: v.detach().cpu().contiguous() for k, v in scene.state_dict().items()}
    if attachment is not None:
        metadata["attached"] = attachment.about
        tensors |= {ATTACHED + name: value.contiguous() for name, value in attachment.tensors.items()}
    with atomic_path(path) as partial:
        save_file(tensors, str(partial), metadata=metadata)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())


def load_scene(path: Path) -> Scene:
    """The scene that `save_scene` wrote. Raises ValueError as `load_with_attachment`."""
    return load_with_attachment(path)[0]


def load_with_attachment(path: Path) -> tuple[Scene, Attachment | None]:
    """A scene and what came with it.

    Raises:
        ValueError: the file is damaged, is not a scene, or is of a kind or configuration that this version lacks.
    """
    from safetensors import SafetensorError, safe_open

    from . import SCENES

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or metadata.get("scene") not in SCENES:
                raise ValueError(
                    f"{path.name} is not a scene of this version: expected format {FORMAT} and one of "
                    f"{', '.join(SCENES)}, got {metadata.get('format')} and {metadata.get('scene')}."
                )
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"The scene file {path.name} cannot be read ({error}).") from error
    config = metadata.get("config", "")
    if len(config) > MAX_CONFIG:
        raise ValueError(f"{path.name} is damaged: its configuration has {len(config)} characters.")
    try:
        stored = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged: its configuration is no JSON ({error}).") from error
    attached = {k.removeprefix(ATTACHED): v for k, v in tensors.items() if k.startswith(ATTACHED)}
    own = {k: v for k, v in tensors.items() if not k.startswith(ATTACHED)}
    scene = scene_of(metadata["scene"], stored, own, path.name)
    about = metadata.get("attached", "")
    if len(about) > MAX_CONFIG:
        raise ValueError(f"{path.name} is damaged: what is attached has {len(about)} characters.")
    return scene, Attachment(about, attached) if about else None


def scene_of(
    kind: str,  # a name in SCENES
    stored: Any,  # its configuration as plain data
    tensors: Mapping[str, Tensor],  # its state, by name
    source: str,  # where both are from, for messages
) -> Scene:
    """A scene from what a file says. Its configuration is compared with the tensors before anything is allocated: a
    small file cannot ask for a large scene.

    Raises:
        ValueError: a configuration that this version lacks, or tensors that do not fit it.
    """
    from . import SCENES

    scene_class, config_class = SCENES[kind].scene, SCENES[kind].config
    if not isinstance(stored, dict):
        raise ValueError(f"{source} is damaged: its configuration is {type(stored).__name__}, expected an object.")
    try:
        config = from_plain(config_class, stored)
        with torch.device("meta"):
            expected = {k: (v.shape, v.dtype) for k, v in scene_class(config).state_dict().items()}
    except (ValueError, RuntimeError, OverflowError, TypeError, MemoryError) as error:
        raise ValueError(f"{source} is damaged, or of another version: {error}") from error
    found = {k: (v.shape, v.dtype) for k, v in tensors.items()}
    if expected != found:
        name = min(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        sizes = [f"{list(x[0])} {x[1]}" if x else "nothing" for x in (expected.get(name), found.get(name))]
        raise ValueError(f"{source} is damaged: its {name} should be {sizes[0]} by its configuration, got {sizes[1]}.")
    scene = scene_class(config)
    try:
        scene.load_state_dict(tensors)
    except ValueError as error:  # values that cannot be
        raise ValueError(f"{source} is damaged: {error}") from error
    return scene


def copy_scene(scene: Scene, device: torch.device | str = "cpu") -> Scene:
    """An independent scene of the same configuration and values, with fresh trainable parameters."""
    copy = type(scene)(scene.config)
    copy.load_state_dict({k: v.detach().clone() for k, v in scene.state_dict().items()})
    return copy.to(device)
