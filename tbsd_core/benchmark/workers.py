"""Groups of cells in processes of one thread each: two small networks side by side beat one on two threads."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..comparison import Cell, CellResult, run_cells
from ..optional import require

REPORT_EVERY = 10  # steps


def run_groups(
    groups: Sequence[Sequence[Cell]],  # each is run as one batch where it can be
    out: Path,
    n_workers: int,
    on_steps: Callable[[int], None],  # so many steps of cells more are done
    on_result: Callable[[CellResult], None],
) -> None:
    """Run all groups; with one worker in this process. On an interrupt the workers end and finished cells stay.

    Raises:
        RuntimeError: a worker died (killed for memory, say).
        KeyboardInterrupt: passed on once the workers have ended.
    """
    if n_workers == 1:
        for group in groups:
            _run(group, out, on_steps, on_result)
        return
    context = multiprocessing.get_context("spawn")  # forking would copy torch's thread pools in an undefined state
    tasks, messages = context.Queue(), context.Queue()
    for i in range(len(groups)):
        tasks.put(i)
    for _ in range(n_workers):
        tasks.put(None)
    plain = [list(group) for group in groups]
    workers = [context.Process(target=_work, args=(plain, out, tasks, messages), daemon=True) for _ in range(n_workers)]
    try:
        for worker in workers:
            worker.start()
        waiting = sum(len(group) for group in groups)
        while waiting:
            try:
                kind, value = messages.get(timeout=1)
            except queue.Empty:
                dead = [w.exitcode for w in workers if w.exitcode not in (None, 0)]
                if dead or not any(w.is_alive() for w in workers):
                    raise RuntimeError(
                        f"A worker of the benchmark ended with code {dead}; the same command goes on with the rest."
                    ) from None
                continue
            if kind == "steps":
                on_steps(value)
            else:
                waiting -= 1
                on_result(value)
        for worker in workers:
            worker.join(10)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
        for worker in workers:
            if worker.pid is not None:
                worker.join(10)
                if worker.is_alive():
                    worker.kill()
                    worker.join()


def _work(groups: list[list[Cell]], out: Path, tasks: Any, messages: Any) -> None:
    """A worker's life."""
    become_worker()
    parent = multiprocessing.parent_process()

    def on_steps(n: int) -> None:
        if parent is not None and not parent.is_alive():  # killed: nobody would read the rest
            stop()
        messages.put(("steps", n))

    try:
        while (i := tasks.get()) is not None:
            _run(groups[i], out, on_steps, lambda result: messages.put(("result", result)))
    except KeyboardInterrupt:
        messages.cancel_join_thread()  # do not wait for a parent that has stopped reading


def become_worker() -> None:
    """One thread; the terminal's Ctrl-C is for the parent, which ends a worker by a signal that cleans up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: stop())
    torch.set_num_threads(1)
    require("transformers").utils.logging.disable_progress_bar()


def stop() -> None:
    """End this worker where it is, with everything cleaned up."""
    raise KeyboardInterrupt


def _run(
    group: Sequence[Cell], out: Path, on_steps: Callable[[int], None], on_result: Callable[[CellResult], None]
) -> None:
    from ..experiment import read_prior

    key = group[0].config.prior
    if key not in _priors:
        _priors[key] = read_prior(group[0].config)
    pending = 0

    def step(cell: Cell, record: Any, n_cells: int) -> None:
        nonlocal pending
        pending += n_cells
        if (record.step + 1) % REPORT_EVERY == 0 or record.step + 1 == record.n_steps:
            on_steps(pending)
            pending = 0

    run_cells(group, out, len(group), step, lambda result, fresh: on_result(result), _priors[key])


_priors: dict[str, Any] = {}  # loaded once per process
