from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.experiment import default_config, plan_of, read_prior
from tbsd_pack.tbsd_core.study import Entry, Failure, Host, watch

SDS = default_config("a brick house", "image", "sds", n_steps=2, size=16)
BROKEN = replace(SDS, optim=replace(SDS.optim, size=18, encode_size=18))  # no whole number of latent cells
LONGER = default_config("a brick house", "image", "bridge", n_steps=3, size=16)


def test_entries_run_in_turn_and_are_seen_before_their_first_step_and_after_each():
    entries = [Entry(label="a", config=SDS), Entry(label="b", config=LONGER)]
    seen = [(s.label, s.done, s.total, s.record and s.record.step, s.is_last) for s in watch(entries, read_prior(SDS))]
    assert seen == [
        ("a", 0, 5, None, False),
        ("a", 1, 5, 0, False),
        ("a", 2, 5, 1, True),
        ("b", 2, 5, None, False),
        ("b", 3, 5, 0, False),
        ("b", 4, 5, 1, False),
        ("b", 5, 5, 2, True),
    ]


def test_each_experiment_is_the_one_of_its_entry_and_could_go_on():
    prior = read_prior(SDS)
    alone = Entry(label="", config=LONGER).begin(prior)
    for _ in alone.steps():
        pass
    steps = watch([Entry(label="a", config=SDS), Entry(label="b", config=LONGER)], prior)
    for step in steps:
        if step.label == "b" and step.done == 4:
            break
    for _ in step.experiment.steps():
        pass
    assert step.experiment.config == LONGER
    assert torch.equal(step.experiment.scene.pixels, alone.scene.pixels)
    assert step.experiment.curves.steps == [0, 1, 2]


def test_nothing_is_run_before_it_is_asked_for():
    steps = watch([Entry(label="a", config=SDS), Entry(label="b", config=BROKEN)], read_prior(SDS))
    assert [next(steps).done for _ in range(3)] == [0, 1, 2], "the second entry would fail"


def test_an_entry_that_fails_does_not_stop_the_rest():
    entries = [Entry(label="a", config=BROKEN), Entry(label="b", config=SDS), Entry(label="c", config=BROKEN)]
    steps = list(watch(entries, read_prior(SDS)))
    failures = [(s.label, s.index, s.done, s.total) for s in steps if isinstance(s, Failure)]
    assert failures == [("a", 0, 2, 6), ("c", 2, 6, 6)]
    assert "ValueError: encode_size must be a multiple" in next(s.reason for s in steps if isinstance(s, Failure))
    assert [s.done for s in steps if s.label == "b"] == [2, 3, 4]


def test_an_error_while_a_step_is_looked_at_is_one_of_its_entry():
    def look(step):
        if step.label == "a" and step.record is not None:
            raise MemoryError("out of memory")

    entries = [Entry(label="a", config=SDS), Entry(label="b", config=SDS)]
    steps = list(watch(entries, read_prior(SDS), look))
    assert [type(s).__name__ for s in steps] == ["StudyStep", "Failure", "StudyStep", "StudyStep", "StudyStep"]


@pytest.mark.parametrize("n", [1, 2])
def test_if_every_entry_fails_the_reason_of_the_first_is_raised(n):
    with pytest.raises(ValueError, match="encode_size must be a multiple"):
        list(watch([Entry(label="a", config=BROKEN)] * n, read_prior(SDS)))


class Cancelled(Exception):
    """As the one of ComfyUI, an ordinary exception."""


@pytest.mark.parametrize("interrupt", [Cancelled, KeyboardInterrupt])
def test_an_interrupt_ends_the_study(interrupt):
    def look(step):
        raise interrupt

    with pytest.raises(interrupt):
        list(watch([Entry(label="a", config=SDS)] * 2, read_prior(SDS), look, Host((Cancelled,))))


NERF = default_config("a house", "nerf", "sds", n_steps=1, size=16)
NERF = replace(NERF, scene=replace(NERF.scene, resolutions=(5, 9), n_samples=12, occupancy_resolution=8))


def test_each_entry_follows_the_plan_of_its_memory():
    prior, entries = read_prior(NERF), [Entry(label="a", config=NERF), Entry(label="b", config=NERF)]
    little = plan_of(entries[0].begin(prior), 1).at_once  # too little with a share for others
    steps = [s for s in watch(entries, prior, host=Host(available=lambda device: little)) if s.record is None]
    chunk = plan_of(entries[0].begin(prior), little).fit.view_chunk
    assert 0 < chunk < NERF.optim.views_per_step
    assert [s.experiment.state.view_chunk for s in steps] == [chunk, chunk]
    assert "go through" in steps[0].note and not steps[1].note, "it is said once"
    assert "steps" not in steps[0].note, "how long a run takes is not what it changes"


def test_nothing_is_said_where_all_fits():
    steps = list(watch([Entry(label="a", config=NERF)], read_prior(NERF)))
    assert not any(s.note for s in steps) and steps[-1].experiment.state.view_chunk == 0
