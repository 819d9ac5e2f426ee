"""Scene and state kept in the one file and resumed, for tests that have no whole configuration."""

from __future__ import annotations

from pathlib import Path

from tbsd_pack.tbsd_core.experiment import NEWEST, Stored, StoredRun, read_newest, write_file
from tbsd_pack.tbsd_core.optim import Curves, OptimState
from tbsd_pack.tbsd_core.optim.state_tensors import load_state, state_tensors


def save(folder: Path, scene, state: OptimState, curves: Curves | None = None, config: dict | None = None) -> None:
    run = StoredRun(config or {}, state.step, state.bad_steps, state_tensors(state), curves or Curves())
    write_file(folder / NEWEST, scene, run, keep_previous=True)


def load(folder: Path, scene, state: OptimState) -> Stored:
    """Restore both in place."""
    found = read_newest(folder)
    scene.load_state_dict(found.scene().state_dict())
    load_state(state, found.run.tensors, found.run.step, found.run.bad_steps)
    return found
