from __future__ import annotations

from dataclasses import replace

import torch
from tbsd_pack.tbsd_core.experiment import default_config, read_prior
from tbsd_pack.tbsd_core.study import Entry, watch

SDS = default_config("a brick house", "image", "sds", n_steps=2, size=16)
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
    broken = replace(SDS, optim=replace(SDS.optim, size=18, encode_size=18))
    steps = watch([Entry(label="a", config=SDS), Entry(label="b", config=broken)], read_prior(SDS))
    assert [next(steps).done for _ in range(3)] == [0, 1, 2], "the second entry would fail"
