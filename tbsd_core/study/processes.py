"""A pool of processes of one thread each on this machine; one that dies is replaced.

Two small networks side by side beat one on two threads.
"""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

import torch

from ..optional import require
from .jobs import Job
from .pool import OnSteps, Outcome, Task
from .task import Worker

PATIENCE = 1.0  # seconds
REPORT_EVERY = 10  # steps of a task between two messages


class ProcessPool:
    """`n_workers` (>= 1) processes, each with one task at a time. See pool.Pool and task.Worker."""

    def __init__(
        self, n_workers: int, in_full: bool = True, on_steps: OnSteps = lambda job, n_steps: None
    ) -> None:
        if n_workers < 1:
            raise ValueError(f"workers must be at least 1, got {n_workers}.")
        # forking would copy torch's thread pools in an undefined state
        self._context = multiprocessing.get_context("spawn")
        self._n_workers, self._in_full, self._on_steps = n_workers, in_full, on_steps
        self._idle: list[tuple[BaseProcess, Connection]] = []
        self._busy: dict[Connection, tuple[BaseProcess, Task]] = {}

    def room(self) -> int:
        return self._n_workers - len(self._busy)

    def submit(self, task: Task) -> None:
        process, ours = self._idle.pop() if self._idle else self._start()
        self._busy[ours] = (process, task)
        try:
            ours.send(task)
        except OSError:
            pass  # it died while it was idle: `wait` finds the closed pipe and gives the task back

    def _start(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._in_full), daemon=True)
        process.start()
        theirs.close()  # or the end of the process would not close the pipe
        return process, ours

    def wait(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for ours in cast("list[Connection]", wait(list(self._busy), PATIENCE)):
            process, task = self._busy[ours]
            try:
                said = ours.recv()
            except (EOFError, OSError):
                del self._busy[ours]
                process.join(10)
                ours.close()
                outcomes += [Outcome(i, error=f"its process ended with code {process.exitcode}") for i in task]
                continue
            if isinstance(said, int):
                self._on_steps(next(iter(task.values())), said)
                continue
            del self._busy[ours]
            self._idle.append((process, ours))
            outcomes += said
        return outcomes

    def close(self) -> None:
        workers = [*self._idle, *((process, ours) for ours, (process, _) in self._busy.items())]
        for process, _ in self._busy.values():
            process.terminate()
        for _, ours in workers:
            ours.close()  # which ends the idle ones
        for process, _ in workers:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
        self._idle, self._busy = [], {}


def _work(theirs: Connection, in_full: bool) -> None:
    """A worker's life: tasks in, steps done and then outcomes out, until the parent closes the pipe or is gone."""
    parent, pending, calls = multiprocessing.parent_process(), 0, 0

    def on_steps(job: Job, n_steps: int) -> None:
        nonlocal pending, calls
        if parent is not None and not parent.is_alive():  # killed: nobody would read the rest
            _stop()
        pending, calls = pending + n_steps, calls + 1
        if calls % REPORT_EVERY == 0:
            tell()

    def tell() -> None:
        nonlocal pending
        theirs.send(pending)
        pending = 0

    try:
        # the terminal's Ctrl-C is for the parent, which ends a worker by a signal that cleans up
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, frame: _stop())
        torch.set_num_threads(1)
        require("transformers").utils.logging.disable_progress_bar()
        worker = Worker(in_full, on_steps=on_steps)
        while True:
            outcomes = worker(theirs.recv())
            tell()
            theirs.send(outcomes)
    except (EOFError, OSError, KeyboardInterrupt):
        pass


def _stop() -> None:
    """End this worker where it is, with everything cleaned up."""
    raise KeyboardInterrupt
