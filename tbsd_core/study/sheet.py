"""The pictures of a study in one: methods as columns, prompts and seeds as rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..grid import labelled_grid
from ..media import write_png
from .jobs import Job, job_folder
from .runner import Reports
from .views import montage, picture, read_views


def write_sheet(jobs: Sequence[Job], reports: Reports, out: Path, name: str, max_rows: int | None = None) -> None:
    """Write a sheet of the first `max_rows` prompts and seeds (None: of all); cells that failed or did not run say
    so."""
    columns = list(dict.fromkeys(job.label for job in jobs))
    rows: dict[str, dict[str, Tensor | str]] = {}
    for i, job in enumerate(jobs):
        title = f"{job.prompt}\n{job.seed_name}"
        if title in rows or max_rows is None or len(rows) < max_rows:
            rows.setdefault(title, {})[job.label] = _tile(job, reports, i, out)
    tiles = [[row.get(label) for label in columns] for row in rows.values()]
    write_png(labelled_grid(tiles, list(rows), columns), out / name)


def _tile(job: Job, reports: Reports, index: int, out: Path) -> Tensor | str:
    """Four sides of an object, the first of several pictures, or words."""
    report = reports.get(index)
    if report is None or isinstance(report, str):
        return "not run" if report is None else f"failed\n{report}"
    path = picture(job_folder(out, job))
    return "no picture" if path is None else montage(read_views(path))
