"""The findings of a step of the check, case by case: a case that fails is recorded, and the next one runs."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .report import Report

TRACEBACK_LINES = 12
LATE = "the time for this step was over"


class Skipped(Exception):
    """A case that cannot be tried here; its text says why."""


class Failed(Exception):
    """A case whose numbers are wrong; `values` are the numbers."""

    def __init__(self, reason: str, values: dict[str, Any]) -> None:
        super().__init__(reason)
        self.values = values


class Cases:
    """The cases of one step, saved in the report one by one.

    Args:
        device: "cuda" or "cpu".
        quick: tiny sizes, so that everything that the device can do has run in seconds.
        deadline: time.monotonic() after which no further case is begun.
    """

    def __init__(self, report: Report, step: str, device: str, quick: bool, deadline: float, scratch: Path) -> None:
        self.report, self.step, self.device, self.quick = report, step, device, quick
        self.deadline, self.scratch = deadline, scratch

    def run(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Record what `measure` returns, or how it failed."""
        if time.monotonic() > self.deadline:
            return self.add(name, "skipped", reason=LATE)
        start = time.perf_counter()
        try:
            entry: dict[str, Any] = {"status": "ok", "values": measure()}
        except Skipped as skipped:
            entry = {"status": "skipped", "reason": str(skipped)}
        except Failed as failed:
            entry = {"status": "failed", "reason": str(failed), "values": failed.values}
        except Exception as error:  # whatever it is, it is the result of this case and not the end of the others
            entry = {"status": "failed", **described(error)}
        # a process whose CUDA context is lost cannot do even this; the next case then says so
        with contextlib.suppress(RuntimeError):
            free_device_memory()
        self.add(name, **entry, seconds=round(time.perf_counter() - start, 3))

    def add(self, name: str, status: str, **entry: Any) -> None:
        """Record a case that ran elsewhere."""
        self.report.add_case(self.step, name, {"status": status, **entry})

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()


def described(error: BaseException) -> dict[str, Any]:
    """An error as the report keeps it: its sentence and the end of its traceback."""
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    return {"error": f"{type(error).__name__}: {error}", "traceback": lines[-TRACEBACK_LINES:]}


def free_device_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
