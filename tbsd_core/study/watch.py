"""The experiments of a study one after another, seen between any two steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..experiment import Experiment
from ..optim import StepRecord
from ..priors.base import Prior
from .entry import Entry


@dataclass(frozen=True)
class StudyStep:
    """Where a study is.

    Args:
        experiment: the entry's experiment, between two steps.
        done, total: steps of all entries together.
        record: of the step just done; None before the first one of an entry.
    """

    entry: Entry
    experiment: Experiment
    done: int
    total: int
    record: StepRecord | None

    @property
    def label(self) -> str:
        return self.entry.label

    @property
    def is_last(self) -> bool:
        """Whether the entry has no more steps."""
        return self.experiment.state.step == self.entry.config.optim.n_steps


def watch(entries: Sequence[Entry], prior: Prior) -> Iterator[StudyStep]:
    """Run each entry in turn; yields before its first step and after each. The caller may stop after any of them.

    Raises:
        ValueError: as `Experiment` and `optim.optimize` do.
    """
    done, total = 0, sum(entry.config.optim.n_steps for entry in entries)
    for entry in entries:
        experiment = entry.begin(prior)
        yield StudyStep(entry, experiment, done, total, None)
        for record in experiment.steps():
            done += 1
            yield StudyStep(entry, experiment, done, total, record)
