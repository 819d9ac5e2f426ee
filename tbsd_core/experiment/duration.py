"""The time of a run: from its floating-point operations before the first step, from its own pace after some."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..cards import card_name, short_name, sustained
from ..guidance import TrainingGuidance
from ..optim.resolution import first_full_step
from .experiment import Experiment
from .needs import Work

LEAST = 1e14  # FLOP from which a run is worth a message: minutes of a CPU, seconds of a GPU
LONG = 3600.0  # seconds from which we say what would be shorter
SAID = 300.0  # seconds from which a measured pace is worth a message
WARM_UP, TIMED = 3, 5  # steps: while kernels are chosen and memory is asked for, and then


@dataclass(frozen=True)
class Duration:
    """Operations of a run in the networks. A scene's work outside matrix products and convolutions does not count.

    Args:
        early, late: FLOP of a step until `latent_until`, which goes without the encoder, and afterwards.
        n_steps: of the whole run; done: before this part of it.
        latent_until: progress in [0, 1].
        advice: how to make the run shorter.
    """

    early: float
    late: float
    n_steps: int
    done: int
    latent_until: float
    advice: str

    def until(self, step: int) -> float:
        """FLOP of the first `step` steps."""
        first = min(step, math.ceil(self.latent_until * self.n_steps))
        return first * self.early + (step - first) * self.late

    @property
    def rest(self) -> float:
        """FLOP of the remaining steps."""
        return self.until(self.n_steps) - self.until(self.done)

    def seconds(self, flops_per_second: float) -> float:
        return self.rest / flops_per_second

    def text(self, device: torch.device) -> str:
        """The text before the first step; "" for a small run."""
        if self.rest < LEAST:
            return ""
        card = card_name(device)
        speed = sustained(card)
        work = f"The run takes about {flops_in_words(self.rest)} ({flops_in_words(self.late)} a step)"
        if speed is None:
            return f"{work}. An estimate of the time follows after a few steps."
        seconds = self.seconds(speed)
        assumed = f"{speed / 1e12:.0f} TFLOP/s, the assumed speed of {short_name(card)}"
        more = f" {self.advice}" if seconds > LONG else ""
        return f"{work}: {time_in_words(seconds)} at {assumed}.{more}"


def duration_of(experiment: Experiment, work: Work, n_views: int, in_parts: bool, recompute: bool) -> Duration:
    """The work of a run, from the cost of one view.

    Args:
        n_views: of a step; in_parts: whether they are seen once more, a few at a time; recompute: whether backward
            computes the encoder again.
    """
    optim, trains = experiment.config.optim, isinstance(experiment.guidance, TrainingGuidance)
    predictions = experiment.evaluations / optim.n_steps * work.predict + n_views * trains * work.train
    glances = in_parts + (experiment.source is not None and experiment.scene.uses_cameras)  # a picture is encoded once
    views = n_views * (work.see + work.glance * glances + work.again * recompute + work.decode)
    what = "views_per_step" if experiment.scene.uses_cameras else "pictures"
    return Duration(
        early=predictions,
        late=predictions + views,
        n_steps=optim.n_steps,
        done=experiment.state.step,
        latent_until=optim.latent_until if experiment.scene.uses_cameras else 0.0,
        advice=f"For less: fewer steps (now {optim.n_steps}), fewer {what} (now {n_views}), or a smaller model, such "
        "as Stable Diffusion 1.5.",
    )


def first_full_step_of(experiment: Experiment) -> int:
    """The first step whose views have their full size."""
    optim = experiment.config.optim
    start = optim.start_size if experiment.scene.uses_cameras else None
    return first_full_step(start, optim.size, optim.full_size_from, optim.n_steps)


class Pace:
    """Call it with the number of steps done, after each. After some it says how long the run takes; else "".

    Steps are weighed by their work where that is known. Views that grow make steps slower, so it measures again when
    they have their full size.

    Args:
        full_from: the first step with views of full size.
    """

    def __init__(
        self,
        n_steps: int,
        duration: Duration | None = None,
        clock: Callable[[], float] = time.monotonic,
        full_from: int = 0,
    ) -> None:
        self.n_steps, self.duration, self.clock, self.full_from = n_steps, duration, clock, full_from
        self._first: int | None = None
        self._began: tuple[int, float] | None = None
        self._said = False

    def __call__(self, done: int) -> str:
        if self._first is not None and self._first < self.full_from <= done:
            self._first, self._began, self._said = None, None, False
        if self._said:
            return ""
        if self._first is None:
            self._first = done
        if done == self._first + WARM_UP:
            self._began = done, self.clock()
        if self._began is None or done < self._began[0] + TIMED:
            return ""
        self._said = True
        since, began = self._began
        seconds = (self.clock() - began) / (done - since)  # a step
        left = seconds * (self.n_steps - done)
        if self.duration is not None and self.duration.until(done) > self.duration.until(since):
            d = self.duration
            left = seconds * (done - since) * (d.until(self.n_steps) - d.until(done)) / (d.until(done) - d.until(since))
        if left < SAID:
            return ""
        advice = f" {self.duration.advice}" if self.duration is not None and left > LONG else ""
        said = f"{time_in_words(left)} are left after step {done}, at {seconds:.2g} s a step."
        if done < self.full_from:
            return f"At least {said} Steps are slower from step {self.full_from} on, with views of full size.{advice}"
        return f"{said[0].upper()}{said[1:]}{advice}"


def flops_in_words(n: float) -> str:
    """ "18.8 TFLOP" or "188 PFLOP"."""
    for factor, unit in ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP")):
        if n >= factor:
            return f"{n / factor:.3g} {unit}"
    return f"{n / 1e9:.3g} GFLOP"


def time_in_words(seconds: float) -> str:
    """ "about 2 h 40 min", "about 12 min", "less than a minute"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes >= 600:  # a tenth is enough
        return f"about {minutes / 60:.0f} h"
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {minutes} min"
