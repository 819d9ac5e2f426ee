"""The pools that run the jobs of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .jobs import Job

# jobs by index. Several differ in nothing but their seeds, and are optimised side by side where a pool can
Task = Mapping[int, Job]
OnSteps = Callable[[Job, int], None]  # a job of a task; so many steps more are done, over all its jobs


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with files, or with the reason why there are none."""

    index: int
    files: dict[str, bytes] | None = None
    error: str = ""
    again: bool = True  # whether another try could end otherwise
    given_back: bool = False  # it did not fail: its server is gone, and this does not count as a try


class Pool(Protocol):
    """Tasks go in, outcomes of their jobs come back in any order. A pool that can do no more raises RuntimeError."""

    def room(self) -> int:
        """How many tasks it would take now."""
        ...

    def submit(self, task: Task) -> None: ...

    def wait(self) -> list[Outcome]:
        """The outcomes of jobs that have ended; waits about a second for one."""
        ...

    def close(self) -> None:
        """End the running tasks, and free everything."""
        ...


def only(task: Task) -> tuple[int, Job]:
    """The job of a task with a single job, for pools that take no others."""
    ((index, job),) = task.items()
    return index, job
