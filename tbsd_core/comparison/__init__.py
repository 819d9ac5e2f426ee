"""Methods side by side: the same prompts, seeds, noise, timesteps and cameras, one table and one picture.

A cell is one method on one prompt with one seed: a run of its own, with its configuration in its folder.
"""

from .cells import Cell, CellResult, cell_folder, read_result
from .matching import count_evaluations, matched_steps
from .runner import run_cells
from .table import summarize, write_tables
from .views import montage, read_views

__all__ = [
    "Cell",
    "CellResult",
    "cell_folder",
    "count_evaluations",
    "matched_steps",
    "montage",
    "read_result",
    "read_views",
    "run_cells",
    "summarize",
    "write_tables",
]
