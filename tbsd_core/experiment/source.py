"""The source that an edit starts from: frozen, and kept in the file of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..configuration import to_plain
from ..guidance import METHODS
from ..optim.state_tensors import prefixed, without
from ..scenes import SCENES, Scene
from ..scenes.mesh_texture import GREY
from ..scenes.stored import scene_of, stored_tensors
from .config import ExperimentConfig

PREFIX = "source"


def frozen(scene: Scene) -> Scene:
    """Freeze the scene: nothing trains it any more."""
    scene.requires_grad_(False)
    return scene


def stored_source(source: Scene, scene: Scene) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The source of a run as a file stores it, and its tensors; for a source like the scene, only the tensors that
    differ.

    So a mesh, its texture coordinates and its maps are stored once.
    """
    kind = next(name for name, spec in SCENES.items() if type(source) is spec.scene)
    tensors = {k: v.cpu() for k, v in stored_tensors(source).items()}  # the scene of a run that ended is there, too
    if (type(source), source.config) == (type(scene), scene.config):
        own = stored_tensors(scene)
        tensors = {k: v for k, v in tensors.items() if k not in own or not torch.equal(v, own[k].cpu())}
    kept = {name: value.clone() for name, value in prefixed(PREFIX, tensors).items()}
    return {"kind": kind, "config": to_plain(source.config)}, kept


def read_source(about: Any, tensors: Mapping[str, Tensor], scene: Scene) -> Scene:
    """The source of a run whose scene this is, on the CPU.

    Raises:
        ValueError: the run has none, or it is damaged.
    """
    if about is None:
        raise ValueError("This run holds no source, but its method now edits one. Start a new run from its scene.")
    kind = about.get("kind") if isinstance(about, dict) else None
    if not isinstance(kind, str) or kind not in SCENES:
        raise ValueError(f"The source of this run is of the kind {kind!r}; this version knows {', '.join(SCENES)}.")
    kept = without(PREFIX, tensors)
    # as JSON gives both back
    if type(scene) is SCENES[kind].scene and as_json(about.get("config")) == as_json(to_plain(scene.config)):
        kept = {k: v.detach().cpu() for k, v in stored_tensors(scene).items()} | kept
    return scene_of(kind, about.get("config"), kept, "the source of this run")


def as_json(plain: Any) -> Any:
    return json.loads(json.dumps(plain))


def check_source_config(config: ExperimentConfig) -> None:
    """Raise ValueError, saying what to do, for a method that edits on a scene that begins empty."""
    spec = METHODS[config.guidance_name]
    if not spec.edits or config.image.file:
        return
    if config.mesh.file and config.mesh.keep_colors:
        if config.scene.begin == GREY:
            raise ValueError(f"{spec.label} changes what is there, and a restyled mesh begins in grey: --method tbsd.")
        return
    how = "--scene image --image FILE for a picture, --scene mesh_texture --mesh FILE --keep-colors for a mesh"
    raise ValueError(f"{spec.label} edits an existing scene, but this run starts from nothing: {how}.")
