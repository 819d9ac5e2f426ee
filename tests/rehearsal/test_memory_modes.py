"""Gradients through the host's models are true in every way in which ComfyUI keeps weights in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
ANY_HOST = ("static", "static, used before", "static, partly offloaded", "lowvram", "novram", "highvram")
ENCODERS = (*ANY_HOST, "bfloat16", "patched")
DYNAMIC = (
    "dynamic",
    "dynamic, streamed",
    "dynamic, evicted",
    "dynamic, used before",
    "dynamic, patched",
    "dynamic, float32 file in bfloat16",
)
NETWORKS = ("static", "static, sampled before", "static, partly offloaded", "lowvram", "novram", "highvram")
FORMATS = ("with a LoRA", "with a LoRA, sampled before", "float16", "bfloat16", "float8", "packed", "flux")
DYNAMIC_NETWORKS = (
    "dynamic",
    "dynamic, sampled before",
    "dynamic, streamed",
    "dynamic, with a LoRA",
    "dynamic, float8",
    "dynamic, flux",
    "MultiGPU CFG Split",
)


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "memory_modes.py", alone=True)


dynamic_vram = pytest.mark.since("0.16.0")  # when it became the default on NVIDIA


def rounding_of(mode: str) -> float:
    """Of the dtype; patches are added in float16 by newer hosts."""
    if "float16" in mode:
        return 0.1 if "bfloat16" in mode else 0.02
    return 5e-3 if "patched" in mode or "LoRA" in mode else 1e-5


def assert_true_encoder(found: dict, mode: str) -> None:
    rounding = rounding_of(mode)
    assert found["latents"] < rounding and found["gradient"] < rounding
    assert found.get("effect", 1) > 0.01, "the patches matter"
    assert found.get("afterwards", 0) == 0, "the VAE is to other nodes what it was"


@pytest.mark.parametrize("mode", ENCODERS)
def test_the_encoders_gradient_is_that_of_torch_alone(report, mode):
    assert_true_encoder(report["autoencoders"][mode], mode)


@dynamic_vram
@pytest.mark.parametrize("mode", DYNAMIC)
def test_the_encoders_gradient_is_true_under_dynamic_vram(report, mode):
    assert_true_encoder(report["autoencoders"][mode], mode)


@dynamic_vram
def test_the_rehearsal_streams_and_evicts(report):
    found = report["autoencoders"]
    assert found["dynamic, streamed"]["streamed"] > 0 and found["dynamic, evicted"]["evicted"] > 0


@pytest.mark.parametrize("mode", [*NETWORKS, *FORMATS])
def test_a_loras_gradient_is_that_on_a_cpu(report, mode):
    found = report["networks"][mode]
    assert found["gradient"] < rounding_of(mode) and found["predictions"] < rounding_of(mode)


@dynamic_vram
@pytest.mark.parametrize("mode", DYNAMIC_NETWORKS)
def test_a_loras_gradient_is_true_under_dynamic_vram(report, mode):
    found = report["networks"][mode]
    assert found["gradient"] < rounding_of(mode) and found["predictions"] < rounding_of(mode)


def test_too_little_memory_for_the_weights_is_told_before_anything_is_loaded(report):
    assert "GiB are free" in report["networks"]["no room"]["refused"]


def test_what_is_hooked_into_layers_is_refused_and_not_lost(report):
    assert "bypass LoRA" in report["networks"]["bypass LoRA"]["refused"]


@dynamic_vram
@pytest.mark.parametrize("what", ["encoder", "network"])
def test_a_false_gradient_ends_the_run_with_a_sentence(report, what):
    """The host's own weights, streamed: as it would be without copies of ours."""
    said = report["checks"][what]
    assert "is wrong" in said and "Nothing was optimised" in said


@dynamic_vram
def test_pages_of_other_models_make_room_for_a_run_that_needs_it(report):
    assert report["room"] == {"ample": 1.0, "short": 0.0}


def test_a_hint_that_the_host_encodes_leaves_the_weights_in_place(report):
    assert report["hints"]["away"] == 0 and report["hints"]["gradient"] < 1e-5


def test_patches_of_a_text_encoder_count(report):
    """Its device is said: without it dynamic VRAM computes on the CPU and leaves patches out."""
    found = report["clips"]
    assert found["static"] > 0.1
    assert all(abs(value - found["static"]) < 1e-3 for value in found.values())
