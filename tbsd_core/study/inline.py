"""A pool in this process: one task at a time; an interrupt passes through."""

from __future__ import annotations

from ..priors.base import TextPrior
from .pool import OnSteps, Outcome, Task
from .task import Worker


class InlinePool:
    """See pool.Pool and task.Worker."""

    def __init__(
        self,
        prior: TextPrior | None = None,
        in_full: bool = False,
        on_steps: OnSteps = lambda job, n_steps: None,  # called after each step
    ) -> None:
        self._worker = Worker(in_full, prior, on_steps)
        self._waiting: list[Task] = []

    def room(self) -> int:
        return 1 - len(self._waiting)

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def wait(self) -> list[Outcome]:
        return self._worker(self._waiting.pop())

    def close(self) -> None:
        self._waiting = []
