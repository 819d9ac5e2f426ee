"""The server's memory of the optimiser runs, for panels that open late, reload or look back.

A run is written by the thread that executes it and read by the routes on the event loop; a lock per
run keeps both apart. Everything is bounded: points, previews and their bytes per run, and runs.
"""

from __future__ import annotations

import io
import logging
import math
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

from PIL import Image

from ...tbsd_core.experiment import Experiment
from ...tbsd_core.optim import Curves
from ...tbsd_core.optim.bounded_history import BoundedHistory
from .compat import has_succeeded, is_running
from .events import send_step
from .files import new_output
from .graph import ancestors, classes, model_files
from .kept import About, Folder, new_id, tidy
from .queued import Queued

MAX_RUNS = 16
MAX_POINTS = 400
MAX_PREVIEWS = 60
MAX_PREVIEW_BYTES = 4 * 2**20  # of all previews of a run
MAX_PREVIEW_PIXELS = 768  # the longer side; a strip of four views is wide
MAX_SCALARS = 32  # keeps an event below 2 KB
MAX_SAVED = 4  # names of the latest checkpoints that a panel shows
MAX_WARNINGS, MAX_WARNING = 3, 300  # a panel shows so many, of so many characters
MAX_NODE_ID = 100
MAX_TEXT = 1000  # characters of a prompt
RECENT = 20  # steps that the remaining time is told from
GRAPH_SECONDS = 0.25  # between two looks whether the graph has ended
logger = logging.getLogger(__name__)


class RunEnded(RuntimeError):
    """An action on a run that is over."""


class CheckpointFailed(RuntimeError):
    """The file could not be written; the run continues."""


class Run:
    """One run of an optimiser node.

    Args:
        queued: the graph that it is in.
        n_steps: of the whole run.
        continues: the id of the run that it continues.
    """

    def __init__(self, queued: Queued, n_steps: int, continues: str | None = None) -> None:
        self.id = new_id()
        self.queued, self.n_steps = queued, n_steps
        self.node = queued.node[:MAX_NODE_ID]
        self.status, self.step, self.error = "running", 0, ""
        self.phase, self.plan = "Loading models", ""  # what happens before the first step; what a step will need
        self.resumed = 0  # steps that were done before it began
        self.reported, self.scalars = 0, dict[str, float]()  # of the newest step that has reported
        self.points: BoundedHistory[dict[str, float]] = BoundedHistory(MAX_POINTS)
        self.previews: BoundedHistory[bytes] = BoundedHistory(MAX_PREVIEWS, MAX_PREVIEW_BYTES, len)
        self.latest: tuple[int, bytes] | None = None
        self.final = False  # whether that is the result
        self.saved: list[str] = []
        self.warnings: list[str] = []
        self.stop_wanted = False
        self.experiment: Experiment | None = None  # once it is made
        self.folder: Folder | None = None  # None if the output folder cannot be written
        self._wanted: list[Future[str]] = []
        self._lock = threading.Lock()
        self._started = self._now = time.monotonic()
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)  # steps with the times when they were done
        nodes = ancestors(queued.prompt, queued.node)
        about = About(
            run=self.id,
            node=self.node,
            prompt=queued.id,
            steps=n_steps,
            nodes=classes(nodes),
            models=model_files(nodes),
            continues=continues,
        )
        try:
            self.folder = Folder(about, queued.workflow, queued.prompt)
        except (OSError, RuntimeError) as error:  # the second is filelock's
            self.warn(
                f"This run cannot be saved: ComfyUI cannot write to its output folder ({error}). Allow writing "
                "there, or cancel and start ComfyUI with another --output-directory."
            )

    def begin(self, experiment: Experiment, phase: str) -> None:
        """The models are loaded, and this is what will run."""
        config = experiment.config
        self.experiment, self.resumed, self.step = experiment, experiment.state.step, experiment.state.step
        with self._lock:
            for step, scalars in points_of(experiment.curves):
                self.points.add(step, scalars)
        self.enter(phase)
        if self.folder is not None:
            about = {"text": config.prompt.prompt[:MAX_TEXT], "method": config.guidance_name}
            self.folder.note(**about, scene=config.scene_name, seed=config.optim.seed)

    def enter(self, phase: str) -> None:
        """Report the phase between steps; "" while steps are being done."""
        with self._lock:
            self.phase, self._now = phase, time.monotonic()

    def advance(self, step: int) -> None:
        """Record `step` done steps."""
        with self._lock:
            self._now = time.monotonic()
            self.step, self.phase = step, ""
            self._recent.append((step, self._now))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Record the report of a step, which may come after the next one is done."""
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
        """Close the run: done, stopped, interrupted or failed. Checkpoints that were wanted too late are refused. Its
        folder is held until the graph has ended as well: what comes after the run may fail, and take its result."""
        with self._lock:
            self.status, self.error, self._now = status, error[:200], time.monotonic()
            self.experiment, self.phase = None, ""
            wanted = self._take_wanted()
        for future in wanted:
            future.set_exception(RunEnded(self._ended()))
        if self.folder is None:
            return
        self.folder.note(status=status)
        self.folder.log(f"{status} after step {self.step} of {self.n_steps}. {error}")
        if status in ("done", "stopped") and self.queued.id is not None:
            threading.Thread(target=self._release_with_graph, daemon=True).start()
        else:
            self.folder.release()

    def _release_with_graph(self) -> None:
        assert self.folder is not None
        while is_running(self.queued.id):
            time.sleep(GRAPH_SECONDS)
        self.folder.note(graph=has_succeeded(self.queued.id))
        self.folder.release()
        send_step(self.event())  # whether it can be continued is known now

    def warn(self, text: str) -> None:
        """Show the user a message about the run."""
        logger.warning("Node %s: %s", self.node, text)
        if self.folder is not None:
            self.folder.log(text)
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
            path, name = new_output(f"tbsd/checkpoint_{self._name()}", ".safetensors")
            experiment.save(path, extra=self.queued.texts())
        except Exception:  # a full disk must not end the run; whoever asked is told
            logger.exception("The checkpoint of node %s could not be written.", self.node)
            for future in wanted:
                future.set_exception(CheckpointFailed("The checkpoint could not be written; the log says why."))
        else:
            with self._lock:
                self.saved = [*self.saved, name][-MAX_SAVED:]
            for future in wanted:
                future.set_result(name)
        return True

    def kept(self, step: int) -> None:
        """Its state of this step has been written to its folder."""
        if self.folder is not None:
            self.folder.note(saved=step, at=time.time())
            if self.latest is not None:
                self.folder.picture(self.latest[1])

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
        queued = self.queued
        return {"run": self.id, "node": self.node, "prompt": queued.id, "graph": queued.graph, "status": self.status}

    def event(self) -> dict:
        """The facts that a panel needs about the present step."""
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
        elapsed, remaining = self._now - self._started, None
        if self.status == "running" and len(self._recent) > 1:
            (first, then), (last, now) = self._recent[0], self._recent[-1]
            remaining = (now - then) / (last - first) * (self.n_steps - self.step)
        return self.summary() | {
            "step": self.step,
            "steps": self.n_steps,
            "resumed": self.resumed,
            "phase": self.phase,
            "plan": self.plan,
            "kept": self.folder is not None and self.folder.about.saved > 0,
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


def open_run(queued: Queued, n_steps: int, continues: str | None = None) -> Run:
    """A new run; the oldest ones that have ended are forgotten beyond MAX_RUNS, and on disk beyond its bounds."""
    run = Run(queued, n_steps, continues)
    ended = [r.id for r in all_runs() if r.status != "running"]
    for name in ended[: max(0, len(_runs) + 1 - MAX_RUNS)]:
        _runs.pop(name, None)
    _runs[run.id] = run
    if run.folder is not None:
        tidy()
    return run


def all_runs() -> list[Run]:
    return list(_runs.values())


def find_run(name: str) -> Run | None:
    return _runs.get(name)


def points_of(curves: Curves) -> Iterator[tuple[int, dict[str, float]]]:
    """The reports of a run from before it was resumed."""
    for index, step in enumerate(curves.steps):
        values = {name: series[index] for name, series in curves.series.items() if index < len(series)}
        yield step + 1, {k: shortened(v) for k, v in list(values.items())[:MAX_SCALARS] if math.isfinite(v)}


def shortened(value: float) -> float:
    """Five digits: enough for a curve, and short as text."""
    return float(f"{value:.5g}")
