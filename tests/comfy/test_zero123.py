"""A picture as prompts: what Stable Zero123 is told is what the host's own nodes tell it, and the front keeps to it."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
WORK = ("sds", "vsd", "esd", "bsd", "ism", "sdi", "hifa")
NEED_TEXTS = ("tbsd", "csd", "bridge", "nfsd", "dds", "pds", "ssd", "tbsd_edit", "dvrf")
REFUSALS = {
    "text model": "the model is BaseModel, which reads text",
    "text prompts": "by a picture, not by text",
    "in a run": "by a picture, not by text",
    "negative": "Target Negative Prompt needs texts",
    "perp_neg": "Perp-Neg needs texts",
    "no mask": "Connect the MASK of Load Image",
    "opaque": "100 % of the picture's border",
    "inverted": "invert a mask that marks the object",
    "empty": "the mask is empty",
    "two pictures": "one picture, got 2",
    "two masks": "one mask, got 2",
}


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "zero123.py")


def test_conditions_of_a_camera_are_those_of_the_hosts_node(report):
    found = report["oracle"]
    assert max(found["tokens"], found["front"]) < 1e-6
    assert found["latents"] < 1e-4, "resized with antialiasing, which rounds otherwise"
    assert report["xl"] == 0, "the fourth number is a distance for Zero123-XL"


def test_predictions_of_views_in_one_forward_are_those_of_the_hosts_sampling(report):
    found = report["oracle"]
    assert found["eps"] < 1e-4 < 0.1 < found["cameras_matter"]
    assert found["alone"] < 1e-4 and found["unseen"] < 1e-4
    assert found["told"] == [True, 1] and found["small"] == [3, 4, 16, 16]


@pytest.mark.parametrize("method", ["sds", "vsd", "sds alone"])
def test_the_gradient_reaches_the_scene(report, method):
    found = report["methods"][method]
    assert found["moved"] > 1e-3 and found["white"] == 1
    assert (found["prior"], found["elevation"]) == ("comfyui:zero123", 5.0)
    losses = [] if method == "sds alone" else ["loss_reference_mask", "loss_reference_rgb"]
    assert found["losses"] == losses


def test_an_analysis_keeps_the_front_to_the_picture_too(report):
    assert report["analysed"] is True


def test_a_resumed_run_says_that_its_model_is_another(report):
    assert report["resumed"] == ["Zero123Prompt 4 model_type was 'Stable Zero123', is 'Zero123-XL'"]


def test_methods_that_need_a_text_are_refused_and_the_others_work(report):
    found = report["refusals"]
    assert all(found[method] == "" for method in WORK)
    assert all("needs texts, but these prompts are of a picture" in found[method] for method in NEED_TEXTS)


@pytest.mark.parametrize("what", REFUSALS)
def test_what_does_not_fit_is_refused(report, what):
    assert REFUSALS[what] in report["refusals"][what]
    assert report["refusals"]["with alpha"] == ""
