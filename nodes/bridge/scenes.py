"""Scenes of files, with the runs that they are in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ...tbsd_core.configuration import differences, to_plain
from ...tbsd_core.experiment import ExperimentConfig, StoredRun
from ...tbsd_core.experiment.file import read_file, read_newest
from ...tbsd_core.scenes import MeshTextureScene, Scene
from .graph import ancestors, optimizers
from .kept import folder_of, mark_used, read_about


@dataclass(frozen=True)
class Origin:
    """Where a scene comes from.

    Args:
        nodes: the part of the graph that the run was in, as in `graph.ancestors`; None if it is not known.
        id: of the run, where it has a folder. warning: why an older state was taken.
        told: how the scene that the graph would begin with differs.
    """

    run: StoredRun
    nodes: Mapping[str, Mapping] | None = None
    id: str | None = None
    warning: str = ""
    told: tuple[str, ...] = ()


# The run that made a scene travels with it through sockets; copies of the scene are without one.
_origins: WeakKeyDictionary[Scene, Origin] = WeakKeyDictionary()


def load_with_run(path: Path) -> Scene:
    """A scene whose `origin_of` is the run that was saved with it. Raises ValueError for a damaged file."""
    about = read_about(path.parent)
    if about is None:
        stored = read_file(path)
        prompt = parsed(stored.embedded.get("prompt", ""))
        nodes = {name: node for optimizer in optimizers(prompt) for name, node in ancestors(prompt, optimizer).items()}
    else:
        mark_used(path.parent)
        stored = read_newest(path)
        nodes = ancestors(read_prompt(path.parent), about.node)
    scene = stored.scene()
    if stored.run is None:
        return scene
    return remember_run(scene, Origin(stored.run, nodes or None, about and about.run, stored.warning))


def read_prompt(folder: Path) -> Any:
    """The graph that a run's folder keeps; None without one."""
    try:
        return parsed((folder / "prompt.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def parsed(text: str) -> Any:
    """The value of a JSON text; None for any other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def continued(run: str, given: Scene) -> Scene:
    """The scene of a run on disk, instead of the one that the graph would start with.

    Raises:
        ValueError: there is no such run, it has no state that can be read, or it is of another kind of scene.
    """
    try:
        scene = load_with_run(folder_of(run) / "checkpoint.safetensors")
    except FileNotFoundError as error:
        raise ValueError(f"{error} Run the graph to start a new run.") from error
    origin = origin_of(scene)
    if type(scene) is not type(given) or origin is None:
        raise ValueError(
            f"The run {run} has a {type(scene).__name__}, but this graph makes a {type(given).__name__}. Connect "
            "the scene node that the run started with, or run the graph to start a new run."
        )
    # a mesh scene is made from the mesh, and the graph's node describes that
    now = {} if isinstance(given, MeshTextureScene) else to_plain(given.config)
    told = differences({name: v for name, v in to_plain(scene.config).items() if name in now}, now)
    return remember_run(scene, replace(origin, told=tuple(f"{name} {text}" for name, text in told.items())))


def remember_run(scene: Scene, origin: Origin) -> Scene:
    """Note where a scene comes from; returns the scene."""
    _origins[scene] = origin
    return scene


def origin_of(scene: Scene) -> Origin | None:
    """The run that a scene comes from, if it is known."""
    return _origins.get(scene)


def with_own_seeds(config: ExperimentConfig, scene: Scene) -> ExperimentConfig:
    """The configuration with the seeds of the run that a scene comes from. A seed widget draws a new number whenever a
    graph has been queued; a run that is continued keeps its own."""
    run = run_of(scene)
    kept = {} if run is None else run.config.get("optim", {})
    own = {name: kept[name] for name in ("seed", "timestep_seed") if name in kept}
    return replace(config, optim=replace(config.optim, **own))


def run_of(scene: Scene) -> StoredRun | None:
    origin = origin_of(scene)
    return None if origin is None else origin.run
