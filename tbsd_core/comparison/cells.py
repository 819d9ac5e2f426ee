"""A cell of a comparison: one run, its folder, and its result once it is there."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configuration import to_plain
from ..experiment import ExperimentConfig

RESULT, FAILURE, VIEWS, SCENE = "run.json", "failed.json", "views.png", "scene.safetensors"


@dataclass(frozen=True)
class Cell:
    """One method, under the label that the table shows, on one prompt with one seed (both in the configuration)."""

    label: str
    config: ExperimentConfig

    @property
    def prompt(self) -> str:
        return self.config.prompt.prompt

    @property
    def seeds(self) -> tuple[int, int]:
        """Of everything, and of the timesteps."""
        return self.config.optim.draw_seeds

    @property
    def row(self) -> str:
        """What the row of this cell is called: prompt and seed."""
        seed, timestep_seed = self.seeds
        return f"{self.prompt}\nseed {seed}" + (f", timesteps {timestep_seed}" if timestep_seed != seed else "")


@dataclass(frozen=True)
class CellResult:
    """How a cell ended: with metrics, or with the reason why it failed (then `metrics` is empty)."""

    cell: Cell
    metrics: dict[str, float]
    evaluations: int  # noise predictions per view
    seconds: float  # of optimisation; a share of the batch's where several seeds ran in one
    error: str | None = None


def cell_folder(out: Path, cell: Cell) -> Path:
    """Where a cell keeps its files: out / label / prompt / seed."""
    seed, timestep_seed = cell.seeds
    name = f"seed_{seed}" + (f"_timesteps_{timestep_seed}" if timestep_seed != seed else "")
    return out / slug(cell.label) / slug(cell.prompt) / name


def slug(text: str) -> str:
    """A file name of letters, digits and a few signs; texts that differ elsewhere only share one."""
    return re.sub(r"[^A-Za-z0-9.+=-]+", "_", text).strip("_.")[:60] or "_"


def read_result(out: Path, cell: Cell) -> CellResult | None:
    """The finished result of exactly this cell, or None: not run, failed, or run with another configuration."""
    folder = cell_folder(out, cell)
    try:
        stored = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or stored.get("config") != plain(cell) or not (folder / VIEWS).is_file():
        return None
    try:
        metrics = {k: math.nan if v is None else v for k, v in stored["metrics"].items()}
        return CellResult(cell, metrics, stored["evaluations"], stored["seconds"])
    except KeyError:
        return None


def plain(cell: Cell) -> dict[str, Any]:
    """A cell's configuration as JSON gives it back (tuples become lists)."""
    return json.loads(json.dumps(to_plain(cell.config)))
