"""VAEs as differentiable encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "autoencoder.py")


def test_float16_weights_are_run_in_float32(report):
    half = report["half"]
    assert half["overflows"], "the case is worth testing"
    assert half["latents"] < 1e-2 and half["gradient"] < 1e-2 and half["decoded"]
    assert half["dtypes"] == ["torch.float16"] and half["after"] == "torch.float16"


def test_recomputing_keeps_less_and_changes_nothing(report):
    again = report["recomputation"]
    assert again["latents"] == 0 and again["gradient"] < 1e-6
    assert again["kept"] < 0.5 and again["patched"] == []


def test_the_host_is_asked_for_what_the_plan_will_measure(report):
    plain, again = report["estimate"]
    assert 1.0 <= plain < 1.4 and 0.9 <= again < 1.5


def test_pictures_that_do_not_fit_are_decoded_one_by_one(report):
    assert report["recomputation"]["decoded"] < 1e-5


def test_taesd_encodes_into_the_models_scale(report):
    taesd = report["taesd"]
    assert taesd["network"] < 1e-6 and taesd["public"] < 1e-6 and taesd["gradient"] > 1e-3


def test_a_latent_format_with_tensors_is_differentiable(report):
    assert report["playground"]["public"] < 1e-5 and report["playground"]["gradient"] > 1e-3


def test_trainable_weights_collect_no_gradient(report):
    assert report["trainable_weights"] == 0


def test_memory_does_not_grow_with_the_steps(report):
    assert report["long_run"]["slope"] < 0.05, "MB per step"


def test_a_latent_picture_needs_no_encoder(report):
    assert report["long_run"]["encoded"] == 220 + 3, "three of them check the gradient"
    assert report["long_run"]["encoded_latent"] == 0
