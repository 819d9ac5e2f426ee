"""Scene files of the output folder, with the runs that the scenes are in."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

from ...tbsd_core.optim import Snapshot, read_snapshot
from ...tbsd_core.scenes import Scene
from ...tbsd_core.scenes.files import Attachment, load_with_attachment, save_scene

# The run that made a scene travels with it through sockets; copies of the scene are without one.
_runs: WeakKeyDictionary[Scene, Snapshot] = WeakKeyDictionary()


def save_with_run(scene: Scene, snapshot: Snapshot | None, path: Path) -> None:
    """Write a scene and, where it comes from a run, that run's state."""
    attachment = None if snapshot is None else Attachment(snapshot.about(), snapshot.tensors)
    save_scene(scene, path, attachment)


def load_with_run(path: Path) -> Scene:
    """A scene whose `run_of` is the run that was saved with it. Raises ValueError for a damaged file."""
    scene, attachment = load_with_attachment(path)
    if attachment is not None:
        remember_run(scene, read_snapshot(attachment.about, attachment.tensors, path.name))
    return scene


def remember_run(scene: Scene, snapshot: Snapshot) -> Scene:
    """Note the run that a scene comes from; returns the scene."""
    _runs[scene] = snapshot
    return scene


def run_of(scene: Scene) -> Snapshot | None:
    """The run that a scene comes from, if it is known."""
    return _runs.get(scene)
