"""When a run saves its state, and what happens when that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..scenes.base import Scene
from .checkpoint import save_checkpoint
from .loop import OptimState
from .records import Curves

AUTOSAVE_SECONDS = 30.0


class Autosave:
    """Call it after each step; it saves when `seconds` have passed since the last time.

    A disk that is full does not end the run: `say` is told, and it is tried again. `finish` must succeed.

    Args:
        seconds: least time between two checkpoints, >= 0; 0 saves after each step.
        keep_newest: whether the checkpoint that is there belongs to this run.
    """

    def __init__(
        self,
        folder: Path,
        scene: Scene,
        state: OptimState,
        config: dict[str, Any],
        curves: Curves,
        seconds: float = AUTOSAVE_SECONDS,
        keep_newest: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        if not seconds >= 0:
            raise ValueError(f"The seconds between two checkpoints must be >= 0, got {seconds}.")
        self.folder, self.scene, self.state, self.config, self.curves = folder, scene, state, config, curves
        self.seconds, self.keep_newest, self.say = seconds, keep_newest, say
        self.saved: int | None = state.step if keep_newest else None  # the step of the newest file
        self.last = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self.last >= self.seconds:
            self.attempt()

    def attempt(self) -> bool:
        """Save now; False, and a message, where it was not possible."""
        try:
            self._save()
        except OSError as error:
            self.say(f"{error} The run goes on; {self._kept()}. Free space in {self.folder}.")
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
        save_checkpoint(self.folder, self.scene, self.state, self.config, self.curves, self.keep_newest)
        self.keep_newest, self.saved = True, self.state.step

    def _kept(self) -> str:
        return "nothing is saved yet" if self.saved is None else f"the state of step {self.saved} is kept"
