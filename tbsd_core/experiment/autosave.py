"""Saves the state of a run at intervals, and handles failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .experiment import Experiment

AUTOSAVE_SECONDS = 30.0
LEAST_SECONDS = 1.0  # between two files, however small they are
SHARE = 0.02  # of the time goes into saving, where the limit of seconds allows that


class Autosave:
    """Call it after each step. It saves once `seconds` have passed since the last time; a small state, which is quick
    to write, more often.

    A full disk does not end the run: `say` gets a message, and a later step tries again. `finish` must succeed.

    Args:
        path: of the file; the one before it is kept beside it.
        seconds: most time between two files, >= 0; 0 saves after each step.
        keep_previous: whether the first save keeps the existing file as the previous one.
        saved: the step of this run that the file holds; None if the file is of another run.
        extra: see write_file.
    """

    def __init__(
        self,
        path: Path,
        experiment: Experiment,
        seconds: float = AUTOSAVE_SECONDS,
        keep_previous: bool = False,
        saved: int | None = None,
        say: Callable[[str], None] = lambda text: None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        if not seconds >= 0:
            raise ValueError(f"The seconds between two checkpoints must be >= 0, got {seconds}.")
        self.path, self.experiment, self.seconds, self.say = path, experiment, seconds, say
        self.keep_previous, self.saved, self.extra = keep_previous, saved, extra
        self.last, self.cost = time.monotonic(), 0.0  # when it saved, and the seconds that it took

    def __call__(self) -> bool:
        """Whether it has saved."""
        wait = min(self.seconds, max(LEAST_SECONDS, self.cost / SHARE))
        return time.monotonic() - self.last >= wait and self.attempt()

    def attempt(self) -> bool:
        """Save now; False, and a message, if that was not possible."""
        start = time.monotonic()
        try:
            self._save()
        except (OSError, MemoryError, RuntimeError) as error:  # of the disk, and of copying the state to the CPU
            reason = str(error) or "There is too little memory to save."
            self.say(f"{reason} The run continues; {self._kept()}. Free space in {self.path.parent}.")
            return False
        finally:
            self.last = time.monotonic()
            self.cost = self.last - start
        return True

    def finish(self) -> None:
        """Save now. Raises OSError if that was not possible; the message says what is kept."""
        try:
            self._save()
        except OSError as error:
            raise OSError(f"{error} {self._kept().capitalize()}. Free space, then resume.") from error

    def _save(self) -> None:
        self.experiment.save(self.path, self.keep_previous, self.extra)
        self.keep_previous, self.saved = True, self.experiment.state.step

    def _kept(self) -> str:
        return "nothing is saved yet" if self.saved is None else f"the state of step {self.saved} is kept"
