"""A MODEL and a VAE as the core's prior."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
WEIGHTS = Path(__file__).resolve().parents[2] / "tbsd_core" / "priors" / "small_world" / "weights"
KINDS = ["EPS", "V_PREDICTION", "FLOW"]


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "prior.py", WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_denoiser_gives_back_the_noise(report, kind):
    assert report[kind]["identity"] < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_all_conditions_of_a_step_share_one_forward(report, kind):
    assert report[kind]["forwards"] == [4]


@pytest.mark.parametrize("kind", KINDS)
def test_each_sample_gets_its_own_condition(report, kind):
    assert report[kind]["per_sample"] < 1e-4
    assert report[kind]["views_differ"] > 1e-3


def test_an_eps_model_predicts_what_its_network_says(report):
    assert report["EPS"]["direct"] < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_encoding_is_differentiable_and_prediction_is_not(report, kind):
    assert report[kind]["encode_gradient"] > 0
    assert not report[kind]["grad_of_prediction"]
    assert report[kind]["roundtrip_shape"] == [2, 3, 64, 64]
