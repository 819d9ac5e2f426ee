from __future__ import annotations

from pathlib import Path

import pytest

FAMILIES = ("eps", "v", "sdxl", "sd3", "flux")


@pytest.fixture(scope="module")
def measured(comfyui):
    return comfyui.run_script(Path(__file__).parent / "inside" / "lora.py")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_lora_is_the_model_itself(measured, family):
    assert measured[family]["start"] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lora_learns_and_hears_of_the_camera(measured, family):
    assert measured[family]["moved"] == 1, "every parameter got a gradient"
    assert measured[family]["changed"] > 1e-4
    assert measured[family]["camera"] > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_untouched_while_a_lora_is_trained_and_after(measured, family):
    assert measured[family]["base"] == 0
    assert measured[family]["hooks"] == 0
    assert measured[family]["repeat"] == 0


def test_samples_with_different_hooks_are_not_trained_on_together(measured):
    assert "different LoRA hooks" in measured["different hooks"]


def test_samples_that_a_control_tears_apart_keep_their_cameras(measured):
    assert measured["ranged control"]["apart"] < 1e-5
    assert measured["ranged control"]["camera"] > 1e-3


@pytest.mark.parametrize(
    "patch", ["faster attention", "a mask of another node", "layers of another node", "FreeU V2", "ToMe"]
)
def test_a_lora_learns_through_a_patched_model(measured, patch):
    assert measured["patched"][patch] == "learns"


def test_a_patch_without_a_gradient_is_said(measured):
    said = measured["patched"]["detached"]
    assert "No LoRA can be trained" in said and "bypass" in said.lower() and "another format" not in said


def test_lora_hooks_count_beside_a_controlnet(measured):
    found = measured["hooked"]
    assert found["False"] > 1e-3 and abs(found["True"] - found["False"]) < 1e-4
