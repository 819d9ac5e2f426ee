"""The arithmetic of times; no clock but one that is told the time."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.experiment import Duration, Experiment, Pace, default_config, read_prior
from tbsd_pack.tbsd_core.experiment.duration import duration_of, flops_in_words, time_in_words
from tbsd_pack.tbsd_core.experiment.needs import Work

ADVICE = "For less: fewer steps."


def test_a_run_is_the_sum_of_its_steps_before_and_after_the_encoder_comes():
    lasts = Duration(early=1.0, late=10.0, n_steps=7, done=0, latent_until=0.5, advice=ADVICE)
    by_step = [1.0 if step / 7 < 0.5 else 10.0 for step in range(7)]
    assert [lasts.until(step) for step in range(8)] == [sum(by_step[:step]) for step in range(8)]
    assert lasts.rest == 34.0 and lasts.seconds(17.0) == 2.0
    assert Duration(1.0, 10.0, 7, 5, 0.5, ADVICE).rest == 20.0, "what is left of a run that goes on"


def test_what_is_counted_for_a_view_makes_a_step():
    config = default_config("a brick house", "nerf", "tbsd", n_steps=10)
    of = Experiment(config, read_prior(config))
    work = Work(glance=1.0, see=100.0, again=10.0, predict=1000.0, train=1e9)
    predictions = of.evaluations / 10 * 1000.0
    whole = duration_of(of, work, 4, in_parts=False, recompute=False)
    assert whole.early == predictions and whole.late == predictions + 4 * 100
    parted = duration_of(of, work, 4, in_parts=True, recompute=True)
    assert parted.late == predictions + 4 * (100 + 1 + 10)
    assert "(now 10)" in parted.advice and "(now 4)" in parted.advice


def test_on_a_card_that_nothing_is_known_of_the_work_alone_is_told():
    lasts = Duration(1e12, 20e12, 10_000, 0, 0.0, ADVICE)
    text = lasts.text(torch.device("cpu"))
    assert text.startswith("The run takes about 200 PFLOP (20 TFLOP a step). An estimate") and ADVICE not in text
    assert Duration(1e9, 1e9, 100, 0, 0.0, ADVICE).text(torch.device("cpu")) == "", "a run of the demo models"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def said(pace: Pace, clock: Clock, steps: range, seconds: float) -> dict[int, str]:
    found = {}
    for done in steps:
        clock.now += 100.0 if done <= steps[0] + 1 else seconds  # the first ones are slow
        text = pace(done)
        if text:
            found[done] = text
    return found


def test_a_pace_is_told_once_and_counts_neither_the_first_steps_nor_equal_times_for_other_work():
    clock = Clock()
    found = said(Pace(2008, None, clock), clock, range(1, 30), 2.0)
    assert found == {9: "About 1 h 7 min are left after step 9, at 2 s a step."}
    lasts = Duration(early=1.0, late=2.0, n_steps=2009, done=0, latent_until=0.5, advice=ADVICE)
    clock = Clock()
    rest = 2.0 * (lasts.until(2009) - lasts.until(9))  # of the dearer half, too
    text = said(Pace(2009, lasts, clock), clock, range(1, 30), 2.0)[9]
    assert text == f"{time_in_words(rest).capitalize()} are left after step 9, at 2 s a step. {ADVICE}"
    clock = Clock()
    assert list(said(Pace(2008, None, clock), clock, range(101, 130), 2.0)) == [109], "a run that goes on"
    clock = Clock()
    grows = said(Pace(2008, None, clock, full_from=20), clock, range(1, 40), 2.0)
    early = "At least about 1 h 7 min are left after step 9, at 2 s a step."
    early += " Steps are slower from step 20 on, with views of full size."
    assert grows == {9: early, 28: "About 1 h 6 min are left after step 28, at 2 s a step."}
    clock = Clock()
    assert said(Pace(100, None, clock), clock, range(1, 30), 2.0) == {}, "minutes are seen in the bar"


@pytest.mark.parametrize(
    "seconds, words",
    [(20, "less than a minute"), (100, "about 2 min"), (9600, "about 2 h 40 min"), (227_000, "about 63 h")],
)
def test_times_in_words(seconds, words):
    assert time_in_words(seconds) == words


def test_operations_in_words():
    assert [flops_in_words(n) for n in (5e9, 18.77e12, 187.7e15, 1.36e19)] == [
        "5 GFLOP",
        "18.8 TFLOP",
        "188 PFLOP",
        "13.6 EFLOP",
    ]
