"""The parent's side: start the child, send a task, wait for it, and end it if it must not continue."""

from __future__ import annotations

import atexit
import importlib
import json
import logging
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .tasks import TASKS
from .wire import read_message, write_message

logger = logging.getLogger(__name__)

WAIT = 0.1  # seconds between two calls of on_wait
START_SECONDS = 60.0  # until the child must have begun; imports from a cold disk are slow
PIPE_BYTES = 1 << 20  # Linux has 64 kB, and each turn of it waits for the interpreter lock
ERRORS = {e.__name__: e for e in (ValueError, TypeError, ImportError, FileNotFoundError, RuntimeError)}

Reason = Literal["crashed", "time", "memory", "start"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a task may take."""

    seconds: float = 300.0
    bytes: int = 8 << 30  # of memory, beyond its inputs

    def __post_init__(self) -> None:
        if not self.seconds > 0 or not self.bytes > 0:
            raise ValueError(f"Limits must be above 0, got {self.seconds} seconds and {self.bytes} bytes.")


class NativeFailure(RuntimeError):
    """A task that ended without a result, for a reason that lies in its code or its size; the next one may work."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason


def run_native(
    task: str,  # of TASKS
    inputs: Mapping[str, Any],  # numbers, strings, None, numpy arrays of numbers; lists and dicts of them
    *,
    on_wait: Callable[[float], None] = lambda progress: None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Run a task in the child process and return its result. Any thread may call; each then has a child to itself.

    Args:
        on_wait: called about ten times a second with the last progress in [0, 1] that the task reported. If it raises,
            the child is ended at once and the error propagates.

    Raises:
        NativeFailure: the task crashed, took too long or too much memory, or no child could be started.
        ValueError, TypeError, ImportError, FileNotFoundError, RuntimeError: as the task raised it; other errors of a
            task arrive as RuntimeError.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; tasks are {', '.join(TASKS)}.")
    child = _take()
    try:
        reply = child.call(task, inputs, on_wait, limits or Limits())
    except BaseException:
        child.end()
        raise
    _keep(child)
    if "result" in reply:
        return reply["result"]
    if reply["error"] == "MemoryError":
        raise NativeFailure("memory", _too_large(task, limits or Limits()))
    kind = ERRORS.get(reply["error"])
    if kind is None:
        logger.warning("In the child process:\n%s", reply["traceback"])
        raise RuntimeError(f"{reply['error']}: {reply['text']}")
    raise kind(reply["text"])


class _Child:
    def __init__(self) -> None:
        self.is_ready = self.bounds_memory = False
        self.replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the child)
        if getattr(sys, "frozen", False) or not sys.executable:
            raise NativeFailure("start", "Work on meshes needs a Python of its own, and this program has none inside.")
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        command = [sys.executable, str(Path(__file__).with_name("child.py")), json.dumps([p for p in sys.path if p])]
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self.errors, bufsize=0, creationflags=flags
            )
        except OSError as error:
            raise NativeFailure("start", f"{sys.executable} cannot be started: {error}.") from error
        _children.add(self)
        _widen(self.process.stdin)
        _widen(self.process.stdout)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                self.replies.put(read_message(self.process.stdout))  # type: ignore[arg-type]
        except Exception as error:  # whatever it is, nothing more comes
            if not isinstance(error, (EOFError, OSError, ValueError)):
                logger.warning("The child process sent what cannot be read: %s", error)
            self.replies.put(None)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            write_message(self.process.stdin, message)  # type: ignore[arg-type]
        except (OSError, ValueError):
            pass  # it has ended, which _listen tells

    def call(self, task: str, inputs: Mapping[str, Any], on_wait: Callable[[float], None], limits: Limits) -> dict:
        """The child's last message about a task."""
        request = {"task": task, "inputs": dict(inputs), "seconds": limits.seconds, "bytes": limits.bytes}
        threading.Thread(target=self._send, args=(request,), daemon=True).start()
        progress, deadline = 0.0, time.monotonic() + (limits.seconds if self.is_ready else START_SECONDS)
        heard = 0.0
        while True:
            try:
                reply = self.replies.get(timeout=min(WAIT, max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                reply = {}
            if reply is None:
                raise self._failure(task)
            if "ready" in reply:
                self.is_ready, self.bounds_memory = True, reply["bounds_memory"]
                deadline = time.monotonic() + limits.seconds
            if "result" in reply or "error" in reply:
                return reply
            progress = reply.get("progress", progress)
            now = time.monotonic()
            if now - heard >= WAIT / 2:  # messages may come more often than the host wants to hear of them
                heard = now
                on_wait(progress)
            if now > deadline:
                if not self.is_ready:
                    raise NativeFailure("start", f"{sys.executable} did not start within {START_SECONDS:.0f} s.")
                raise NativeFailure("time", f"{task} was stopped after {limits.seconds:g} s.")
            if self.is_ready and not self.bounds_memory and _resident(self.process.pid) > limits.bytes:
                raise NativeFailure("memory", _too_large(task, limits))

    def _failure(self, task: str) -> NativeFailure:
        code = self.process.wait()
        self.errors.seek(0)
        said = self.errors.read()[-4000:].decode(errors="replace").strip()
        logger.warning("The child process of %s ended with code %d. %s", task, code, said)
        if not self.is_ready:
            why = said.splitlines()[-1] if said else f"code {code}"
            return NativeFailure("start", f"{sys.executable} ended before it had begun ({why}).")
        name = signal.Signals(-code).name if -code in signal.Signals.__members__.values() else f"code {code}"
        return NativeFailure("crashed", f"{task} crashed ({name}).")

    def end(self) -> None:
        """Kill it and wait until it is gone, so that its memory is free."""
        _children.discard(self)
        self.process.kill()
        self.process.wait()
        self.errors.close()


_children: set[_Child] = set()  # that run
_idle: list[_Child] = []  # at most one is kept; append and pop are atomic


def _take() -> _Child:
    while _idle:
        try:
            child = _idle.pop()
        except IndexError:  # another thread was faster
            break
        if child.process.poll() is None:
            return child
        child.end()
    return _Child()


def _keep(child: _Child) -> None:
    (child.end if _idle else lambda: _idle.append(child))()


@atexit.register
def _end_all() -> None:
    for child in list(_children):
        child.end()


def _widen(pipe: Any) -> None:
    """Let a pipe hold more at once, where the system can."""
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(pipe.fileno(), 1031, PIPE_BYTES)  # F_SETPIPE_SZ, which Python 3.10 has by this number alone
        except OSError:
            pass  # the system allows less


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 if that is unknown."""
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return 0
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def _too_large(task: str, limits: Limits) -> str:
    return f"{task} needs more than {limits.bytes / 2**30:.3g} GB of memory."
