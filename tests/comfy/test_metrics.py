"""Image Metrics: on the server without CLIP, and its CLIP score against an independent computation."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
WEIGHTS = Path(__file__).resolve().parents[2] / "tbsd_core" / "priors" / "small_world" / "weights"


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "clip_score.py", WEIGHTS)


def test_clip_score_and_r_precision_are_those_of_transformers(report):
    assert report["score"] == pytest.approx(report["expected_score"], abs=1e-2)
    assert report["r_precision"] == pytest.approx(report["expected_r_precision"])
    assert report["spread"] > 1e-3, "otherwise the test says nothing"


def test_random_weights_do_not_know_colours_and_the_table_says_so(report):
    (remark,) = report["remarks"]
    assert "probably not halves of one CLIP" in remark


REFUSALS = {
    "other": "not of one CLIP model",
    "bare": "came without its projection",
    "half": "connect clip_vision and clip, or neither",
    "no_prompt": "needs a prompt",
    "no_object": "one object and one material",
}


@pytest.mark.parametrize("case, message", REFUSALS.items())
def test_what_does_not_belong_together_is_refused(report, case, message):
    assert message in report["refused"][case]


def test_without_clip_there_is_no_clip_score(report):
    assert report["plain"] == ["colourfulness", "contrast", "saturation", "sharpness"]


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def test_pictures_are_measured_against_the_truth(server):
    flat = node("EmptyImage", width=64, height=64, batch_size=2, color=0x3366CC)
    metrics = node("TBSD_Metrics", images=["flat", 0], truth_prompt="a brick house", prompt="", other_prompts="")
    outputs = server.run(
        {"flat": flat, "metrics": metrics, "score": node("PreviewAny", source=["metrics", 5])}
        | {"contrast": node("PreviewAny", source=["metrics", 3])}
    )
    (text,) = outputs["metrics"]["text"]
    assert "mean over 2 pictures" in text and "identity shape" in text and "silhouette iou" in text
    assert outputs["score"]["text"] == ["nan"], "not taken"
    assert float(outputs["contrast"]["text"][0]) == pytest.approx(0, abs=1e-4)
