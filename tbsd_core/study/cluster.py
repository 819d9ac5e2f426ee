"""A pool on a Ray cluster, or on a small one of this machine's own. Ray is not installed with the pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..optional import require
from .pool import Outcome, Task, only
from .task import Worker

LOCAL = "local"
PATIENCE = 1.0  # seconds
WINDOW = 1_000  # tasks that are handed in: enough to let an autoscaler see the demand, few enough for the scheduler


class RayPool:
    """One Ray task per job; a task has a single job. See pool.Pool.

    A task whose worker or machine dies is run again by Ray, `retries` times. The code of this package travels to the
    cluster with the sweep; torch and the packages of requirements.txt must be there.

    Args:
        address: "local", or the address of a cluster: "auto", "ray://HOST:10001", "HOST:6379".
        cpus: of a task; also its threads.
        gpus: of a task, 0 for none; a fraction lets several share one.
        n_workers: CPUs of a local cluster.
    """

    def __init__(self, address: str, cpus: float = 1, gpus: float = 0, retries: int = 2, n_workers: int = 1) -> None:
        if cpus < 0 or gpus < 0 or cpus + gpus == 0:
            raise ValueError(f"A task needs CPUs or GPUs, got {cpus} and {gpus}.")
        self._ray = ray = require("ray", "'ray>=2.60'")
        if address == LOCAL:
            ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
        else:
            package = str(Path(__file__).resolve().parents[1])
            ray.init(address=address, log_to_driver=False, runtime_env={"py_modules": [package]})
        try:
            self._check(cpus, gpus, address)
        except ValueError:
            ray.shutdown()
            raise
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
        self._task = ray.remote(**options)(_ray_task)
        self._threads = max(1, int(cpus))
        self._running: dict[Any, int] = {}

    def _check(self, cpus: float, gpus: float, address: str) -> None:
        """Refuse a task that fits nowhere on this machine: it would wait for ever. A cluster may grow."""
        if address != LOCAL:
            return
        have = self._ray.cluster_resources()
        if cpus > have.get("CPU", 0) or gpus > have.get("GPU", 0):
            raise ValueError(
                f"A task asks for {cpus} CPUs and {gpus} GPUs, but there are only {have.get('CPU', 0):g} and "
                f"{have.get('GPU', 0):g}. Lower --ray-cpus or --ray-gpus."
            )

    def room(self) -> int:
        return WINDOW - len(self._running)

    def submit(self, task: Task) -> None:
        index, job = only(task)
        self._running[self._task.remote({index: job}, self._threads)] = index

    def wait(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=PATIENCE)
        for reference in done:
            index = self._running.pop(reference)
            try:
                outcomes += self._ray.get(reference)
            except self._ray.exceptions.RayError as failure:  # of the worker or its machine, tried by Ray already
                outcomes.append(Outcome(index, error=f"{type(failure).__name__}: {str(failure).splitlines()[0]}"))
        return outcomes

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running = {}
        self._ray.shutdown()


def _ray_task(task: Task, threads: int) -> list[Outcome]:
    torch.set_num_threads(threads)
    return Worker(in_full=True)(task)
