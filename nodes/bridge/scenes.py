"""Scene files of ComfyUI's folders, with the runs that the scenes are in."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

from ...tbsd_core.experiment import StoredRun, read_file
from ...tbsd_core.scenes import Scene

# The run that made a scene travels with it through sockets; copies of the scene are without one.
_runs: WeakKeyDictionary[Scene, StoredRun] = WeakKeyDictionary()


def load_with_run(path: Path) -> Scene:
    """A scene whose `run_of` is the run that was saved with it. Raises ValueError for a damaged file."""
    stored = read_file(path)
    scene = stored.scene()
    return scene if stored.run is None else remember_run(scene, stored.run)


def remember_run(scene: Scene, run: StoredRun) -> Scene:
    """Note the run that a scene comes from; returns the scene."""
    _runs[scene] = run
    return scene


def run_of(scene: Scene) -> StoredRun | None:
    """The run that a scene comes from, if it is known."""
    return _runs.get(scene)
