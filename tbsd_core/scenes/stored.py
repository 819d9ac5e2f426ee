"""Scenes made from the contents of files, and copies of scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..configuration import from_plain
from .base import Scene

S = TypeVar("S", bound=Scene)
ATTACHED = "attached."  # before the names of tensors that are part of no state


def scene_of(
    kind: str,  # a name in SCENES
    stored: Any,  # its configuration as plain data
    tensors: Mapping[str, Tensor],  # its state, by name
    source: str,  # where both are from, for messages
) -> Scene:
    """A scene as a file describes it. Its configuration is compared with the tensors before anything is allocated: a
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
    attached = {k.removeprefix(ATTACHED): v for k, v in tensors.items() if k.startswith(ATTACHED)}
    tensors = {k: v for k, v in tensors.items() if not k.startswith(ATTACHED)}
    found = {k: (v.shape, v.dtype) for k, v in tensors.items()}
    if expected != found:
        name = min(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        sizes = [f"{list(x[0])} {x[1]}" if x else "nothing" for x in (expected.get(name), found.get(name))]
        raise ValueError(f"{source} is damaged: its {name} should be {sizes[0]} by its configuration, got {sizes[1]}.")
    scene = scene_class(config)
    try:
        scene.load_state_dict(tensors)
        scene.attach(attached)
    except ValueError as error:  # impossible values
        raise ValueError(f"{source} is damaged: {error}") from error
    return scene


def stored_tensors(scene: Scene) -> dict[str, Tensor]:
    """The description of a scene in a file, as `scene_of` takes it."""
    return {**scene.state_dict(), **{ATTACHED + name: value for name, value in scene.attached.items()}}


def copy_scene(scene: S, device: torch.device | str = "cpu") -> S:
    """An independent scene of the same configuration and values, with fresh trainable parameters."""
    copy = type(scene)(scene.config)
    copy.load_state_dict({k: v.detach().clone() for k, v in scene.state_dict().items()})
    copy.attach(scene.attached)
    return copy.to(device)


def is_untouched(scene: Scene) -> bool:
    """Whether a scene is as its configuration alone makes it: noise, grey, or nothing."""
    fresh = dict(type(scene)(scene.config).named_parameters())
    return all(torch.equal(value.detach().cpu(), fresh[name]) for name, value in scene.named_parameters())
