"""Runs on disk. Each has a folder of its own in output/tbsd/runs, which the process that runs it alone writes.

    about.json             what the run is and how far it is (About)
    checkpoint.safetensors its newest state, and checkpoint.previous.safetensors the one before it
    preview.jpg            its newest picture
    prompt.json            the graph as it was queued, and workflow.json as it was on the canvas
    log.txt                what was said about it

An operating system's lock is held from the run's beginning to the end of the graph that it is in, so it tells whether
the run's process is alive. A folder goes when a person removes it, or as the oldest one beyond what is kept.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import folder_paths

from ...tbsd_core.atomic import atomic_path
from ...tbsd_core.experiment import NEWEST
from ...tbsd_core.experiment.file import previous
from ...tbsd_core.lock import hold, is_held
from .files import output_root

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
RUNS_KEPT, GIB_KEPT = 20, 8.0  # unless the settings tbsd.runs.number and tbsd.runs.gigabytes say otherwise
ABOUT, PREVIEW, LOG = "about.json", "preview.jpg", "log.txt"
REMOVED = ".removed-"  # of folders that are being removed
MAX_ABOUT = 1_000_000  # bytes
NEW_SECONDS = 60.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class About:
    """The description in a run's folder.

    Args:
        run: its id. node: the execution id of the Optimize node. prompt: the id that the queue gave its graph.
        status: running, done, stopped, interrupted or failed; "running" without a lock means that its process died.
        saved: the step of its state; 0 if there is none yet. at: when that was written, seconds since 1970.
        used: when it was last written or read; the run that has waited longest is removed first.
        graph: whether the graph that it is in has come to its end.
        nodes: class by execution id, of the Optimize node and all that it depends on.
        models: names of the files that the graph loads.
        continues: the run that it continues.
    """

    run: str
    node: str
    prompt: str | None = None
    status: str = "running"
    saved: int = 0
    steps: int = 0
    at: float = 0.0
    used: float = 0.0
    graph: bool = False
    text: str = ""
    method: str = ""
    scene: str = ""
    seed: int = 0
    nodes: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    continues: str | None = None


class Folder:
    """The folder of a run of this process, which is held until `release`. Nothing that fails here ends a run."""

    def __init__(self, about: About, workflow: Any, prompt: Any) -> None:
        """Raises OSError where it cannot be written."""
        self.path = runs_root() / about.run
        self._lock = hold(self.path)
        self.about = about
        self.note()
        for name, value in (("workflow.json", workflow), ("prompt.json", prompt)):
            if value is not None:
                (self.path / name).write_text(json.dumps(value), encoding="utf-8")

    @property
    def state(self) -> Path:
        return self.path / NEWEST

    def note(self, **changes: Any) -> None:
        """Write down the changes."""
        self.about = replace(self.about, used=time.time(), **changes)
        try:
            write_about(self.path, self.about)
        except OSError as error:  # a full disk
            logger.warning("The record of the run in %s could not be written (%s).", self.path, error)

    def log(self, text: str) -> None:
        try:
            with (self.path / LOG).open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        except OSError:
            pass  # it has been said elsewhere

    def picture(self, jpeg: bytes) -> None:
        try:
            with atomic_path(self.path / PREVIEW) as temporary:
                Path(temporary).write_bytes(jpeg)
        except OSError:
            pass  # the state is what counts

    def release(self) -> None:
        """The run and its graph are over. One without a state is removed, because there is nothing to resume."""
        self._lock.release()
        if not self.about.saved:
            remove(self.path)


def new_id() -> str:
    """Of a run: when it began, to the millisecond, so that names sort as they began, and five digits of chance."""
    now = time.time()
    began = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return f"{began}-{int(now % 1 * 1000):03x}{secrets.randbits(20):05x}"


def runs_root() -> Path:
    return output_root() / "tbsd" / "runs"


def folder_of(run: str) -> Path:
    """The folder of a run. Raises ValueError for a text that is not an id, FileNotFoundError if there is no such
    folder."""
    if not RUN_ID.fullmatch(run):
        raise ValueError("The id of a run has a date, a time and eight digits, such as 20260131-120000-0123abcd.")
    path = runs_root() / run
    if not path.is_dir():
        raise FileNotFoundError(
            f"The run {run} is not in {runs_root()}: it was removed, or it belongs to another output folder."
        )
    return path


def read_about(path: Path) -> About | None:
    """The description in a folder; None if the folder holds no run, or is damaged."""
    try:
        if (path / ABOUT).stat().st_size > MAX_ABOUT:
            return None
        stored = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        about = About(**{f.name: stored[f.name] for f in fields(About) if f.name in stored})
        numbers = (about.saved, about.steps, about.at, about.used, about.seed)
        texts = (about.node, about.status, about.text, about.method, about.scene)
        texts += () if about.continues is None else (about.continues,)
        fits = all(isinstance(n, (int, float)) for n in numbers) and all(isinstance(t, str) for t in texts)
        return about if fits and about.run == path.name and isinstance(about.nodes, dict) else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def write_about(path: Path, about: About) -> None:
    with atomic_path(path / ABOUT) as temporary:
        Path(temporary).write_text(json.dumps(asdict(about)), encoding="utf-8")


def kept_runs() -> Iterator[tuple[Path, About]]:
    """All runs on disk that have a state, newest first; those whose process is alive are among them."""
    root = runs_root()
    for path in sorted(root.iterdir(), reverse=True) if root.is_dir() else []:
        about = read_about(path) if RUN_ID.fullmatch(path.name) else None
        if about is not None and has_state(path):
            yield path, about


def unfinished() -> list[About]:
    """Runs that can be continued, newest first: they, or their graphs, did not reach their end, no process works on it,
    and no later run that has a state continues them."""
    found = list(kept_runs())
    continued = {about.continues for _, about in found}
    return [
        replace(about, status="crashed" if about.status == "running" else about.status)
        for path, about in found
        if about.run not in continued and not (about.graph and about.status == "done") and not is_held(path)
    ]


def has_state(path: Path) -> bool:
    return (path / NEWEST).exists() or previous(path / NEWEST).exists()


def mark_used(path: Path) -> None:
    """A run that is read is kept longer. The one that is written notes it itself."""
    about = read_about(path)
    if about is not None and not is_held(path):
        try:
            write_about(path, replace(about, used=time.time()))
        except OSError:
            pass


def remove(path: Path) -> bool:
    """Remove the folder of a run that nobody writes; False if somebody does, or if the system does not let go of it."""
    if is_held(path):
        return False
    gone = path.with_name(REMOVED + path.name)
    try:
        os.replace(path, gone)  # at once: whoever looks sees all of it, or nothing
    except OSError:
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


def tidy() -> None:
    """Remove runs beyond the bounds that nobody writes: first those whose graph has ended, the one that has waited
    longest first."""
    number, size = bounds()
    root = runs_root()
    for path in root.glob(REMOVED + "*"):  # of a process that was killed while it removed them
        shutil.rmtree(path, ignore_errors=True)
    folders = [path for path in root.iterdir() if RUN_ID.fullmatch(path.name)]
    for path in folders:
        if is_old(path) and not has_state(path):  # of a process that was killed before its first step
            remove(path)
    found = [(path, read_about(path)) for path in folders if has_state(path)]
    sizes = {path: bytes_in(path) for path, _ in found}
    continued = {about.continues for _, about in found if about is not None}  # offered again without the later run
    found.sort(
        key=lambda entry: (
            entry[1] is None or entry[1].graph or entry[1].run in continued,
            -entry[1].used if entry[1] else 0,
        )
    )
    kept = total = 0
    for path, _ in found:
        kept, total = kept + 1, total + sizes[path]
        if (kept > number or total > size) and kept > 1 and remove(path):
            kept, total = kept - 1, total - sizes[path]
            logger.info("Removed the run in %s: %d runs of %.1f GiB are kept.", path, number, size / 2**30)


def is_old(path: Path) -> bool:
    """Whether a folder is not one that another server has just made, and holds in a moment."""
    try:
        return time.time() - path.stat().st_mtime > NEW_SECONDS
    except OSError:  # it is gone
        return False


def bytes_in(path: Path) -> int:
    """Of the files of a folder, which another server may be writing, or removing."""
    total = 0
    try:
        for file in path.iterdir():
            with suppress(FileNotFoundError):
                total += file.stat().st_size
    except OSError:
        pass  # the folder is gone
    return total


def bounds() -> tuple[int, float]:
    """How many runs are kept, and how many bytes of them: what the settings of the most generous user say, because all
    users of a host share its output folder."""
    found = [bounds_in(path) for path in Path(folder_paths.get_user_directory()).glob("*/comfy.settings.json")]
    numbers, sizes = zip(*found, strict=True) if found else ((RUNS_KEPT,), (GIB_KEPT,))
    return int(max(numbers)), max(sizes) * 2**30


def bounds_in(path: Path) -> tuple[float, float]:
    """Runs and GiB by one user's settings; what they do not say is as if they were new."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        settings = {}
    settings = settings if isinstance(settings, dict) else {}
    number, gib = settings.get("tbsd.runs.number", RUNS_KEPT), settings.get("tbsd.runs.gigabytes", GIB_KEPT)
    number = number if isinstance(number, (int, float)) and 1 <= number < math.inf else RUNS_KEPT
    return number, gib if isinstance(gib, (int, float)) and 0 < gib < math.inf else GIB_KEPT
