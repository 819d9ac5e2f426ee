"""Runs and stages in a folder that have not ended: a new run there would replace their state."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path


def has_stages(folder: Path | None) -> bool:
    """Whether a folder to resume holds stages."""
    from ..experiment.stages import ABOUT

    return folder is not None and (folder / ABOUT).is_file()


def has_unfinished_stages(folder: Path) -> bool:
    from ..experiment.stages import ABOUT

    try:
        return "files" not in json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def has_unfinished_run(folder: Path) -> bool:
    from ..experiment.file import NEWEST, previous
    from ..experiment.results import REPORT

    state = folder / NEWEST
    return (state.exists() or previous(state).exists()) and not (folder / REPORT).exists()


def check_unfinished(folder: Path) -> None:
    """Raise ValueError if a folder holds a run or stages that have not ended."""
    for has, what, them in (
        (has_unfinished_stages, "stages that have", "them"),
        (has_unfinished_run, "a run that has", "it"),
    ):
        if has(folder):
            raise ValueError(
                f"{folder} holds {what} not ended. Continue {them}: python -m tbsd_core run --resume {folder}. Or give "
                "another --out, or remove the folder."
            )


def quoted(path: Path) -> str:
    """A path as the shell takes it."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))
