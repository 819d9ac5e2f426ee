"""A pool of processes of one thread each on this machine; one that dies is replaced."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection, wait
from typing import Any

from ..benchmark.workers import become_worker, stop
from .jobs import Job
from .pool import Outcome
from .task import run_task

PATIENCE = 1.0  # seconds


class ProcessPool:
    """`n_workers` (>= 1) processes, each with one job at a time. See pool.Pool."""

    def __init__(self, n_workers: int) -> None:
        if n_workers < 1:
            raise ValueError(f"workers must be at least 1, got {n_workers}.")
        # forking would copy torch's thread pools in an undefined state
        self._context = multiprocessing.get_context("spawn")
        self._n_workers = n_workers
        self._idle: list[tuple[Any, Connection]] = []
        self._busy: dict[Connection, tuple[Any, int]] = {}

    def room(self) -> int:
        return self._n_workers - len(self._busy)

    def submit(self, index: int, job: Job) -> None:
        process, ours = self._idle.pop() if self._idle else self._start()
        self._busy[ours] = (process, index)
        try:
            ours.send(job.config)
        except OSError:
            pass  # it died while it was idle: `wait` finds the closed pipe and gives the job back

    def _start(self) -> tuple[Any, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # or the end of the process would not close the pipe
        return process, ours

    def wait(self) -> list[Outcome]:
        outcomes = []
        for ours in wait(list(self._busy), PATIENCE):
            assert isinstance(ours, Connection)
            process, index = self._busy.pop(ours)
            try:
                files, error, again = ours.recv()
            except (EOFError, OSError):
                process.join(10)
                ours.close()
                outcomes.append(Outcome(index, error=f"its process ended with code {process.exitcode}"))
                continue
            self._idle.append((process, ours))
            outcomes.append(Outcome(index, files, error, again))
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


def _work(theirs: Connection) -> None:
    """A worker's life: configurations in, files out, until the parent closes the pipe or is gone."""
    parent = multiprocessing.parent_process()

    def on_step(record: Any) -> None:
        if parent is not None and not parent.is_alive():
            stop()

    try:
        become_worker()
        while True:
            theirs.send(run_task(theirs.recv(), on_step))
    except (EOFError, OSError, KeyboardInterrupt):
        pass
