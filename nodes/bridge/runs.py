"""What the server remembers of the optimiser runs, for panels that open late, reload or look back.

A run is written by the thread that executes it and read by the routes on the event loop; a lock per
run keeps both apart. Everything is bounded: points, previews and their bytes per run, and runs.
"""

from __future__ import annotations

import io
import logging
import math
import re
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

from PIL import Image

from ...tbsd_core.experiment import Experiment
from ...tbsd_core.experiment.file import previous
from ...tbsd_core.optim.bounded_history import BoundedHistory
from .files import new_output, output_root

MAX_RUNS = 16
MAX_POINTS = 400
MAX_PREVIEWS = 60
MAX_PREVIEW_BYTES = 4 * 2**20  # of all previews of a run
MAX_PREVIEW_PIXELS = 768  # the longer side; a strip of four views is wide
MAX_SCALARS = 32  # keeps an event below 2 KB
MAX_SAVED = 4  # names of the latest checkpoints that a panel shows
MAX_WARNINGS, MAX_WARNING = 3, 300  # a panel shows so many, of so many characters
MAX_NODE_ID = 100
NO_WORKFLOW = "00000000-0000-0000-0000-000000000000"
logger = logging.getLogger(__name__)


class RunEnded(RuntimeError):
    """An action on a run that is over."""


class CheckpointFailed(RuntimeError):
    """The file could not be written; the run goes on."""


class Run:
    """One run of an optimiser node."""

    def __init__(self, n_steps: int, node_id: str | None, workflow: str | None) -> None:
        self.id = secrets.token_hex(8)
        self.node, self.workflow, self.n_steps = str(node_id or "")[:MAX_NODE_ID], workflow, n_steps
        self.status, self.step, self.error = "running", 0, ""
        self.reported, self.scalars = 0, dict[str, float]()  # of the newest step that has reported
        self.points: BoundedHistory[dict[str, float]] = BoundedHistory(MAX_POINTS)
        self.previews: BoundedHistory[bytes] = BoundedHistory(MAX_PREVIEWS, MAX_PREVIEW_BYTES, len)
        self.latest: tuple[int, bytes] | None = None
        self.final = False  # whether that is the result
        self.saved: list[str] = []
        self.warnings: list[str] = []
        self.stop_wanted = False
        self._wanted: list[Future[str]] = []
        self._lock = threading.Lock()
        self._started = self._now = time.monotonic()
        self._first = self._started  # when the first step was done; the one before it holds all warming up

    def advance(self, step: int) -> None:
        """Record `step` done steps."""
        with self._lock:
            self._now = time.monotonic()
            if step == 1:
                self._first = self._now
            self.step = step

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Record what a step has reported, which may come after the next one is done."""
        clean = {k: shortened(v) for k, v in list(scalars.items())[:MAX_SCALARS] if math.isfinite(v)}
        with self._lock:
            self.reported, self.scalars = step, clean
            self.points.add(step, clean)

    def show(self, picture: Image.Image, final: bool = False) -> None:
        """Keep a picture of the present step, or of the finished result."""
        small = picture.copy()
        small.thumbnail((MAX_PREVIEW_PIXELS, MAX_PREVIEW_PIXELS))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=85)
        with self._lock:
            self.latest, self.final = (self.step, buffer.getvalue()), final
            if not final:
                self.previews.add(*self.latest)

    def finish(self, status: str, error: str = "") -> None:
        """Close the run: done, stopped, interrupted or failed. Checkpoints that were wanted too late are refused."""
        with self._lock:
            self.status, self.error, self._now = status, error[:200], time.monotonic()
            wanted = self._take_wanted()
        for future in wanted:
            future.set_exception(RunEnded(self._ended()))

    def warn(self, text: str) -> None:
        """Tell the user something about the run that goes on."""
        logger.warning("Node %s: %s", self.node, text)
        with self._lock:
            self.warnings = [*self.warnings, text[:MAX_WARNING]][-MAX_WARNINGS:]

    def stop(self) -> None:
        """Ask for the end after the present step. Raises RunEnded."""
        with self._lock:
            if self.status != "running":
                raise RunEnded(self._ended())
            self.stop_wanted = True

    def want_checkpoint(self) -> Future[str]:
        """Ask for a file of the scene after the present step; the future gives its name. Raises RunEnded."""
        with self._lock:
            if self.status != "running":
                raise RunEnded(self._ended())
            future: Future[str] = Future()
            self._wanted.append(future)
            return future

    def answer(self, experiment: Experiment) -> bool:
        """Write the checkpoint that was asked for, once for all who did; False if nobody did."""
        with self._lock:
            wanted = self._take_wanted()
        if not wanted:
            return False
        try:
            name = self.save(experiment, "checkpoint")
        except Exception:  # a full disk must not end the run; whoever asked is told
            logger.exception("The checkpoint of node %s could not be written.", self.node)
            for future in wanted:
                future.set_exception(CheckpointFailed("The checkpoint could not be written; the log says why."))
        else:
            for future in wanted:
                future.set_result(name)
        return True

    def save(self, experiment: Experiment, kind: str) -> str:
        """Write the scene and its run under tbsd/ in the output folder; returns its relative name."""
        path, name = new_output(f"tbsd/{kind}_{self._name()}", ".safetensors")
        experiment.save(path)
        with self._lock:
            self.saved = [*self.saved, name][-MAX_SAVED:]
        return name

    def autosaved(self) -> Path:
        """The file of the state that a crash or a power cut leaves behind."""
        return output_root() / "tbsd" / f"autosave_{self._name()}.safetensors"

    def drop_autosaves(self) -> None:
        """A run that has given its result needs none."""
        for path in (self.autosaved(), previous(self.autosaved())):
            path.unlink(missing_ok=True)

    def _name(self) -> str:
        return re.sub(r"[^A-Za-z0-9]+", "_", self.node)[:40]

    def picture(self, step: int, final: bool) -> tuple[int, bytes] | None:
        """The kept preview closest to a step, with its own step; the one asked for may have been thinned out.
        With `final` the result, once there is one."""
        with self._lock:
            if final and self.final:
                return self.latest
            latest = None if self.final else self.latest
            kept = [p for p in (self.previews.nearest(step), latest) if p is not None]
        return min(kept, key=lambda p: abs(p[0] - step), default=None)

    def summary(self) -> dict:
        return {"run": self.id, "node": self.node, "workflow": self.workflow, "status": self.status}

    def event(self) -> dict:
        """What a panel must know of the present step."""
        with self._lock:
            return self._event()

    def state(self) -> dict:
        """Everything a panel shows: the event and the curves so far."""
        with self._lock:
            points = self.points.items
            if self.reported and points[-1][0] != self.reported:
                points = [*points, (self.reported, self.scalars)]
            names = list(dict.fromkeys(name for _, scalars in points for name in scalars))
            series = {name: [scalars.get(name) for _, scalars in points] for name in names}
            return self._event() | {"curves": {"steps": [step for step, _ in points], "series": series}}

    def _take_wanted(self) -> list[Future[str]]:
        """The open requests; one whose browser has gone away is dropped, and none can be withdrawn from here on."""
        wanted, self._wanted = self._wanted, []
        return [future for future in wanted if future.set_running_or_notify_cancel()]

    def _event(self) -> dict:
        elapsed = self._now - self._started
        pace = (self._now - self._first) / (self.step - 1) if self.step > 1 else None
        remaining = None if pace is None or self.status != "running" else pace * (self.n_steps - self.step)
        return self.summary() | {
            "step": self.step,
            "steps": self.n_steps,
            "elapsed": round(elapsed, 1),
            "remaining": None if remaining is None else round(remaining, 1),
            "scalars": self.scalars,
            "preview": None if self.latest is None else self.latest[0],
            "final": self.final,
            "previews": [step for step, _ in self.previews.items],
            "saved": self.saved,
            "warnings": self.warnings,
            "error": self.error,
        }

    def _ended(self) -> str:
        return f"The run has ended ({self.status}). Connect Save Scene to keep its result."


_runs: dict[str, Run] = {}  # by id, oldest first


def open_run(n_steps: int, node_id: str | None, workflow: str | None) -> Run:
    """A new run; it replaces the last one of the same node, and the oldest beyond MAX_RUNS."""
    run = Run(n_steps, node_id, workflow)
    over = [r.id for r in all_runs() if r.status != "running" and (r.node, r.workflow) == (run.node, workflow)]
    ended = [r.id for r in all_runs() if r.status != "running" and r.id not in over]
    for name in over + ended[: max(0, len(_runs) - len(over) + 1 - MAX_RUNS)]:
        _runs.pop(name, None)
    _runs[run.id] = run
    return run


def all_runs() -> list[Run]:
    return list(_runs.values())


def find_run(name: str) -> Run | None:
    return _runs.get(name)


def workflow_of(extra_pnginfo: dict | None) -> str | None:
    """The id of the workflow that the browser queued; None for API prompts and templates that have none."""
    workflow = extra_pnginfo.get("workflow") if isinstance(extra_pnginfo, dict) else None
    name = workflow.get("id") if isinstance(workflow, dict) else None
    valid = isinstance(name, str) and re.fullmatch(r"[0-9A-Za-z-]{1,64}", name) and name != NO_WORKFLOW
    return name if valid else None


def shortened(value: float) -> float:
    """Five digits: enough for a curve, and short as text."""
    return float(f"{value:.5g}")
