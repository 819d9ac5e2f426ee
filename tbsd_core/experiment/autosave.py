"""When a run saves its state, and what happens when that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .experiment import Experiment

AUTOSAVE_SECONDS = 30.0


class Autosave:
    """Call it after each step; it saves when `seconds` have passed since the last time.

    A disk that is full does not end the run: `say` is told, and it is tried again. `finish` must succeed.

    Args:
        path: of the file; the one before it is kept beside it.
        seconds: least time between two files, >= 0; 0 saves after each step.
        is_ours: whether the file that is there belongs to this run.
    """

    def __init__(
        self,
        path: Path,
        experiment: Experiment,
        seconds: float = AUTOSAVE_SECONDS,
        is_ours: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        if not seconds >= 0:
            raise ValueError(f"The seconds between two checkpoints must be >= 0, got {seconds}.")
        self.path, self.experiment, self.seconds, self.is_ours, self.say = path, experiment, seconds, is_ours, say
        self.saved: int | None = experiment.state.step if is_ours else None  # the step of the newest file
        self.last = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.last >= self.seconds:
            self.attempt()

    def attempt(self) -> bool:
        """Save now; False, and a message, where it was not possible."""
        try:
            self._save()
        except OSError as error:
            self.say(f"{error} The run goes on; {self._kept()}. Free space in {self.path.parent}.")
            return False
        finally:
            self.last = time.monotonic()
        return True

    def finish(self) -> None:
        """Save now. Raises OSError, with what is kept, where it was not possible."""
        try:
            self._save()
        except OSError as error:
            raise OSError(f"{error} {self._kept().capitalize()}. Free space, then resume.") from error

    def _save(self) -> None:
        self.experiment.save(self.path, self.is_ours)
        self.is_ours, self.saved = True, self.experiment.state.step

    def _kept(self) -> str:
        return "nothing is saved yet" if self.saved is None else f"the state of step {self.saved} is kept"
