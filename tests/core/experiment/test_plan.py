"""The stated needs of a step."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.configuration import replaced
from tbsd_pack.tbsd_core.experiment import Experiment, default_config, plan_of, read_prior, run
from tbsd_pack.tbsd_core.memory import PeakBytes, available_bytes
from tbsd_pack.tbsd_core.optim.step import Step


def experiment(scene="nerf", method="sds", **changes) -> Experiment:
    config = default_config("a brick house", scene, method, n_steps=2, size=changes.pop("size", 64))
    for name, value in {"optim.latent_until": 0.0, **changes}.items():
        config = replaced(config, name.replace("__", "."), value)
    return Experiment(config, read_prior(config))


def peak_of_a_step(of: Experiment) -> int:
    with PeakBytes() as memory:
        Step(of.distillation, of.state, 0, None)()
    return memory.peak


@pytest.mark.parametrize(
    "scene, changes",
    [
        ("nerf", {"optim__views_per_step": 5, "scene__n_samples": 24}),
        ("gaussian", {"optim__views_per_step": 3}),
        ("image", {"scene__n_images": 6}),
    ],
)
def test_a_step_stays_under_its_plan_at_once_and_in_parts(scene, changes):
    whole = experiment(scene, **changes)
    at_once = plan_of(whole, 1).at_once  # nothing fits into one byte
    peak = peak_of_a_step(whole)
    assert at_once / 3 < peak <= at_once
    parted = experiment(scene, **changes)
    plan = plan_of(parted, round(at_once / 0.8 * 0.7))
    assert 0 < plan.fit.view_chunk < plan.n_views and plan.fit.estimated <= 0.7 * at_once
    assert f"of {plan.n_views} " in plan.text and f"{plan.fit.view_chunk} at a time" in plan.text
    plan.apply(parted)
    assert peak_of_a_step(parted) <= plan.fit.estimated < at_once


def test_one_view_that_does_not_fit_is_rendered_in_pieces_or_said_to_be_too_large():
    of = experiment(optim__views_per_step=1, size=128)
    at_once = plan_of(of, 1).at_once
    plan = plan_of(of, round(at_once / 0.8 * 0.8))
    plan.apply(of)
    assert plan.fit.halvings and of.scene.chunk_rays == 128 * 128 // 2**plan.fit.halvings
    assert peak_of_a_step(of) <= plan.fit.estimated and "each in" in plan.text
    assert "may run out of memory: use a smaller size or fewer views" in plan_of(of, 1).text


def test_what_fits_easily_is_not_measured_and_nothing_is_said():
    of = experiment(optim__views_per_step=2)
    plan = plan_of(of, 64 * 2**30)
    assert (plan.fit.view_chunk, plan.at_once, plan.text) == (0, 0, "")
    assert plan.evaluations == of.evaluations and plan_of(of, None).text == ""
    assert available_bytes(torch.device("cpu")) > 2**20


def test_a_run_goes_by_its_plan_and_says_so(tmp_path):
    of = experiment("image", scene__n_images=2)
    said: list[str] = []
    run(of.config, tmp_path, on_phase=said.append, prior=of.prior, in_full=False, available=2**20)
    assert "A step of 2 pictures at 64 pixels needs about" in said[0]
