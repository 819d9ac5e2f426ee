"""The files of the report on a checkpoint: contact sheet, curves and facts. Written after each run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tbsd_core.atomic import atomic_path
from tbsd_core.grid import labelled_grid
from tbsd_core.media import to_uint8
from tbsd_core.optim import Curves
from tbsd_core.optional import require
from tbsd_core.plots import smoothed

SHEET, CURVES, JSON = "sheet.jpg", "curves.png", "report.json"
QUALITY = 88
PLOTTED = ("grad_rms", "opacity", "lambda_shape", "cosine")  # of each column, where it has them
WORDS = {"skipped": "not reached", "failed": "failed", "interrupted": "interrupted", "cut short": "time over"}


class Files:
    """The results so far, and the folder that holds them.

    Args:
        anonymous: takes the paths of this machine out of a text.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, Any],
        checkpoint: dict[str, Any],
        prompts: Sequence[str],
        columns: Sequence[str],
        anonymous: Callable[[str], str],
    ) -> None:
        self.folder, self.prompts, self.columns, self.anonymous = folder, prompts, columns, anonymous
        keys = ("plan", "seconds of a step of full size", "settings")
        self.data: dict[str, Any] = {"environment": environment, "checkpoint": checkpoint, "warnings": []}
        self.data |= {key: {} for key in keys} | {"runs": []}
        self._places: list[list[Tensor | str | None]] = [[None] * len(columns) for _ in prompts]
        self._captions = [[""] * len(columns) for _ in prompts]
        self._curves: list[dict[str, Curves]] = [{} for _ in columns]  # by prompt
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        row: int,
        column: int,
        picture: Tensor | None,
        entry: dict[str, Any],
        curves: Curves | None = None,
        write: bool = True,
    ) -> None:
        """A run that has ended, however it did; without a picture its place says why."""
        entry = {"prompt": self.prompts[row], "run": self.columns[column], **entry}
        self.data["runs"].append(entry)
        status = WORDS.get(entry["status"], "")
        self._places[row][column] = status if picture is None else picture
        if picture is not None:
            cost = f"{entry['seconds/step']:.3g} s a step, {entry['peak GiB']:.3g} GiB"
            self._captions[row][column] = f"{entry['done']} steps{f', {status}' if status else ''}\n{cost}"
        if curves is not None and curves.steps:
            self._curves[column][self.prompts[row]] = curves
        if write:
            self.write()

    def write(self) -> None:
        text = self.anonymous(json.dumps(self.data, indent=1, default=str)) + "\n"
        with atomic_path(self.folder / JSON) as path:
            path.write_text(text, encoding="utf-8")
        if self.data["runs"]:
            self._write_picture(SHEET, self._sheet(), format="JPEG", quality=QUALITY)
        if any(self._curves):
            self._write_picture(CURVES, plotted(self._curves, self.columns), format="PNG")

    def _write_picture(self, name: str, pixels: np.ndarray, **options: Any) -> None:
        with atomic_path(self.folder / name) as path:
            require("PIL.Image", "pillow").fromarray(pixels).save(path, **options)

    def _sheet(self) -> np.ndarray:
        about = self.data["environment"]
        where = about.get("card") or "CPU"
        title = f"{self.data['checkpoint']['name']} on {where}, torch {about['torch']}"
        sheet = labelled_grid(self._places, self.prompts, self.columns, title, self._captions)
        return to_uint8(sheet)


def plotted(curves: Sequence[Mapping[str, Curves]], columns: Sequence[str]) -> np.ndarray:
    """A row of panels for each column of the sheet, a line for each prompt."""
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(13, 2.6 * len(columns)), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    lines = {}
    for row, (title, runs) in enumerate(zip(columns, curves, strict=True)):
        for place, name in enumerate(PLOTTED):
            series = {prompt: (c.steps, c.series[name]) for prompt, c in runs.items() if name in c.series}
            if not series or (name == "opacity" and all(min(values) == 1 for _, values in series.values())):
                continue  # pictures are opaque
            axes = figure.add_subplot(len(columns), len(PLOTTED), row * len(PLOTTED) + place + 1)
            for index, (prompt, (steps, values)) in enumerate(series.items()):
                smooth = smoothed(np.asarray(values, dtype=float))
                (line,) = axes.plot(steps[: len(values)], smooth, linewidth=1, alpha=0.8, color=f"C{index}")
                lines.setdefault(prompt, line)
            axes.set_title(f"{title}: {name.replace('_', ' ')}", fontsize=9)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4, fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def told_of_checkpoint(path: Path) -> dict[str, Any]:
    """Its name and, of a single file, size and SHA-256, by which a model site finds it."""
    if not path.is_file():
        return {"name": path.name}
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}
