"""The end of a sweep: one table of all cells, and a contact sheet of their pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..comparison.table import write_rows
from ..comparison.views import montage, read_views
from ..grid import labelled_grid
from ..media import write_png
from .jobs import Job, job_folder
from .runner import Reports

SHEET, MAX_ROWS = "sheet.png", 24
PICTURES = ("image.png", "turntable.png")  # of `run`; elsewhere the first picture that there is


def write_report(jobs: Sequence[Job], reports: Reports, out: Path, settings: dict[str, Any]) -> list[str]:
    """Write sheet.png (its first MAX_ROWS prompts and seeds) and table.csv, .json, .md; returns their names.

    Jobs without a report (the sweep was interrupted) are left out of the tables.
    """
    columns = list(dict.fromkeys(job.label for job in jobs))
    by_row: dict[str, dict[str, Tensor | str]] = {}
    for i, job in enumerate(jobs):
        name = f"{job.prompt}\nseed {job.seed}"
        if name in by_row or len(by_row) < MAX_ROWS:
            report = reports.get(i, "not run")
            tile = f"failed\n{report}" if i in reports and isinstance(report, str) else report
            by_row.setdefault(name, {})[job.label] = tile if isinstance(tile, str) else picture(job_folder(out, job))
    tiles = [[row.get(label) for label in columns] for row in by_row.values()]
    write_png(labelled_grid(tiles, list(by_row), columns), out / SHEET)
    rows = [row_of(job, reports[i]) for i, job in enumerate(jobs) if i in reports]
    return [SHEET, *write_rows(rows, out, settings)]


def picture(folder: Path) -> Tensor | str:
    """The picture [3, h, w] that stands for a cell: four sides of an object, the first of several pictures."""
    names = [name for name in PICTURES if (folder / name).is_file()]
    names += sorted(path.name for path in folder.glob("*.png"))
    if not names:
        return "no picture"
    return montage(read_views(folder / names[0]))


def row_of(job: Job, report: dict[str, Any] | str) -> dict[str, Any]:
    """A cell's line of the table; numbers that are not finite become None."""
    row: dict[str, Any] = {"method": job.label, "prompt": job.prompt, "seed": job.seed, "timestep_seed": None}
    if isinstance(report, str):
        return {**row, "status": "failed", "steps": None, "evaluations": None, "seconds": None, "error": report}
    row |= {"status": "finished", "seconds": report["seconds"]["total"], "error": None}
    row |= {"steps": None, "evaluations": None, **_costs(job.config)}
    return row | {k: v if math.isfinite(v) else None for k, v in report.get("metrics", {}).items()}


def _costs(config: dict[str, Any]) -> dict[str, int]:
    """Steps and noise predictions per view, where the configuration is one of `run`."""
    from ..comparison.matching import count_evaluations
    from ..experiment import config_from_plain
    from ..guidance import build_guidance

    if "guidance_name" not in config:
        return {}
    run = config_from_plain(config)
    guidance = build_guidance(run.guidance_name, run.guidance)
    steps = run.optim.n_steps
    return {"steps": steps, "evaluations": count_evaluations(guidance, steps, run.optim.reuse_steps)}
