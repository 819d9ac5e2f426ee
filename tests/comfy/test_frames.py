"""Image models of today whose latents look like a video of one frame, and Z-Image, as priors."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
FAMILIES = {"QwenImage": "qwen_image", "Anima": "anima", "Krea2": "krea2", "ZImage": "z_image"}


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "frames.py")


def test_those_that_this_comfyui_knows_are_tried(report):
    assert "QwenImage" in report and set(report) <= set(FAMILIES)


def test_pictures_are_encoded_and_decoded_as_by_comfyui(report):
    for name, found in report.items():
        assert found["encode"] < 1e-5 and found["decode"] < 1e-5, name
        assert found["gradient"] > 1, name


def test_a_scene_starts_from_every_picture_of_a_batch(report):
    for name, found in report.items():
        assert found["start"] < 1e-5, name


def test_predictions_are_pictures_and_a_batch_is_its_samples(report):
    for name, found in report.items():
        assert found["shape"] == [2, 16, 8, 8], name
        assert found["batched"] < 1e-5 < 5e-3 < found["differ"], name


def test_a_lora_is_trained_or_refused_with_the_reason(report):
    """Anima's attention has an operation without a gradient, in ComfyUI's own training, too."""
    for name, found in report.items():
        if name == "Anima":
            assert "has no gradient" in found["trained"] and "rms_rope_split_half" in found["trained"]
        else:
            assert found["trained"] > 0.9, name


def test_their_families_are_told(report):
    for name, found in report.items():
        assert found["family"] == [FAMILIES[name], ""]
