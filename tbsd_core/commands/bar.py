"""The progress of a run on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType

from ..optim import StepRecord
from ..optional import require


class RunBar:
    """A bar with the scalars of the step before; a context manager that closes it."""

    def __init__(self, n_steps: int, title: str) -> None:
        require("transformers").utils.logging.disable_progress_bar()  # its bar for 36 tensors would hide ours
        self.bar = require("tqdm").tqdm(total=n_steps, desc=title, unit="step", disable=None)
        self.before: Mapping[str, float] | None = None

    def __enter__(self) -> RunBar:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def on_step(self, record: StepRecord) -> None:
        bar, before = self.bar, self.before
        bar.n = record.step + 1
        bar.refresh() if bar.n == record.n_steps else bar.update(0)
        if before is not None and record.step % 10 == 1:  # does not wait for a GPU, which still computes this step
            bar.set_postfix(opacity=f"{before['opacity']:.2f}", grad=f"{before['grad_rms']:.3g}")
        self.before = record.scalars

    def say(self, text: str) -> None:
        self.bar.write(text, file=sys.stderr)
