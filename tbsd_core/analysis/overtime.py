"""Runs over time: a row per method, a column per moment.

After a figure of TBSD (arXiv:2511.11710), "Comparison results of Bridge with TNP and GNP": the picture of
Bridge's first stage, SDS, then "results optimized over time".
"""

from __future__ import annotations

from collections.abc import Sequence

from ..grid import labelled_grid
from .pictures import Result
from .sheet import Sheet

MOMENTS = (0.25, 0.5, 0.75, 1.0)  # with Bridge's switch at 0.5 the second is the last picture of SDS


def over_time_sheet(results: Sequence[Result], at: Sequence[float], title: str) -> Sheet:
    """Rows of entries, columns of progress; moments that an interrupted run did not reach stay empty, and a failed run
    says so in their place."""
    images = [[result.tile(p) for p in at] for result in results]
    labels = [result.entry.label for result in results]
    image = labelled_grid(images, labels, [f"{p:g}" for p in at], title, column_axis="progress of the run")
    return Sheet(image, {"title": title, "progress": list(at), "cases": [r.numbers() for r in results]})
