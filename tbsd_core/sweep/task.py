"""One cell in the process that runs it: from plain data to the files of `run`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .jobs import read_files


def run_task(
    config: dict[str, Any],  # of a ExperimentConfig, as run.json holds it
    on_step: Callable[[Any], None] = lambda record: None,
) -> tuple[dict[str, bytes] | None, str, bool]:
    """(files, "", True), or (None, the reason, whether another try could end otherwise)."""
    from ..experiment import config_from_plain, run

    try:
        with tempfile.TemporaryDirectory(prefix="tbsd_") as folder:
            run(config_from_plain(config), Path(folder), on_step=on_step)
            return read_files(Path(folder)), "", True
    except Exception as error:  # any failure is this cell's result; the others must still run
        # what a configuration cannot do it cannot do twice; memory and machines may recover
        return None, f"{type(error).__name__}: {error}", not isinstance(error, ValueError)
