"""What runs the jobs of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .jobs import Job


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with files, or with the reason why there are none."""

    index: int
    files: dict[str, bytes] | None = None
    error: str = ""
    again: bool = True  # whether another try could end otherwise
    given_back: bool = False  # it did not fail: who had it is gone, and this is no try


class Pool(Protocol):
    """Jobs go in by index, outcomes come back in any order. A pool that can do no more raises RuntimeError."""

    def room(self) -> int:
        """How many jobs it would take now."""
        ...

    def submit(self, index: int, job: Job) -> None: ...

    def wait(self) -> list[Outcome]:
        """What has ended; waits about a second for something to."""
        ...

    def close(self) -> None:
        """End what is under way, and free everything."""
        ...
