"""The progress of a run on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ..optim import StepRecord
from ..optional import require


class RunBar:
    """A bar with the scalars of the step before; a context manager that closes it."""

    def __init__(self, n_steps: int, title: str) -> None:
        require("transformers").utils.logging.disable_progress_bar()  # its bar for 36 tensors would hide ours
        self.n_steps, self.title = n_steps, title
        self.bar: Any = None  # from the first step on, which is not number 0 in a run that is resumed
        self.before: Mapping[str, float] | None = None

    def __enter__(self) -> RunBar:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_step(self, record: StepRecord) -> None:
        if self.bar is None:
            given = {"total": self.n_steps, "initial": record.step, "desc": self.title, "unit": "step"}
            self.bar = require("tqdm").tqdm(**given, miniters=1, disable=None)
        bar, before = self.bar, self.before
        bar.n = record.step + 1
        bar.refresh() if bar.n == record.n_steps else bar.update(0)
        if before is not None and record.step % 10 == 1:  # does not wait for a GPU, which still computes this step
            bar.set_postfix(opacity=f"{before['opacity']:.2f}", grad=f"{before['grad_rms']:.3g}")
        self.before = record.scalars

    def say(self, text: str) -> None:
        if self.bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bar.write(text, file=sys.stderr)
