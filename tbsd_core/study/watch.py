"""The experiments of a study one after another, seen between any two steps. One that fails does not stop the rest."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from ..experiment import Experiment, plan_of
from ..experiment.plan import SHARE, memory_text
from ..memory import available_bytes
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
        note: before the first step, how it was made to fit into memory; "" if nothing had to change, or it was said.
    """

    entry: Entry
    experiment: Experiment
    done: int
    total: int
    record: StepRecord | None
    note: str = ""

    @property
    def label(self) -> str:
        return self.entry.label

    @property
    def is_last(self) -> bool:
        """Whether the entry has no more steps."""
        return self.experiment.state.step == self.entry.config.optim.n_steps


@dataclass(frozen=True)
class Failure:
    """An entry that ended early, before its first step or between any two.

    Args:
        index: of the entry.
        done: steps of the study, as if it had done all of its own.
    """

    entry: Entry
    index: int
    done: int
    total: int
    reason: str

    @property
    def label(self) -> str:
        return self.entry.label


@dataclass(frozen=True)
class Host:
    """The program around a study.

    Args:
        interrupts: exceptions by which it ends the whole study, besides KeyboardInterrupt.
        available: bytes of a device that steps may take; None if that is not known.
    """

    interrupts: tuple[type[Exception], ...] = ()
    available: Callable[[torch.device], int | None] = available_bytes


PLAIN = Host()


def watch(
    entries: Sequence[Entry],
    prior: Prior,
    look: Callable[[StudyStep], None] = lambda step: None,  # called before each yield; if it fails, so does the entry
    host: Host = PLAIN,
) -> Iterator[StudyStep | Failure]:
    """Run each entry in turn; yields before its first step and after each. The caller may stop after any of them.

    Raises:
        Exception: every entry failed (ValueError as `Experiment` and `optim.optimize`, memory that runs out ...); the
            reason of the first.
    """
    ended, total = 0, sum(entry.config.optim.n_steps for entry in entries)
    told: set[Measures] = set()
    errors: list[Exception] = []
    for index, entry in enumerate(entries):
        done = ended
        ended += entry.config.optim.n_steps
        try:
            experiment = entry.begin(prior)
            note = made_to_fit(experiment, host.available(torch.device(entry.config.device)), told)
            step = StudyStep(entry, experiment, done, total, None, note)
            look(step)
            yield step
            for record in experiment.steps():
                done += 1
                step = StudyStep(entry, experiment, done, total, record)
                look(step)
                yield step
        except host.interrupts:
            raise
        except Exception as error:  # of this entry; the others must still run
            if len(entries) == 1:
                raise
            release(error)
            errors.append(error)
            yield Failure(entry, index, ended, total, reason_of(error))
    if errors and len(errors) == len(entries):
        raise errors[0]


def reason_of(error: Exception) -> str:
    """An error in one line of words."""
    return f"{type(error).__name__}: {error}"


def release(error: BaseException | None) -> None:
    """Free the tensors that the frames of an error hold, so that the next entry has their memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


Measures = tuple[int, int, bool]  # the parts of experiment.plan.Fit that change how a step is computed


def made_to_fit(experiment: Experiment, available: int | None, told: set[Measures]) -> str:
    """Make the steps of an experiment fit into so many bytes, before its first one.

    Args:
        told: what was said in this study; it is added to.

    Returns:
        The changes in words; "" if there are none, or the same was said.
    """
    plan = plan_of(experiment, available)
    plan.apply(experiment)
    measures = (plan.fit.view_chunk, plan.fit.halvings, plan.fit.recompute)
    if measures in told:
        return ""
    told.add(measures)
    budget = math.inf if available is None else SHARE * available
    return memory_text(plan, "views" if experiment.scene.uses_cameras else "pictures", budget)
