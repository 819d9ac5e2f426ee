"""A ControlNet sees the geometry of the views: by the host's own machinery, whatever the method."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
WHAT = {  # what is said of guidances that cannot have the ControlNet
    "width": "text embeddings of width 48, but the model has 32",
    "flux": "another family of models",
    "two nets": "the same ControlNet and kind",
}


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "control.py")


def test_predictions_change_with_the_hint_of_their_own_view(report):
    found = report["predictions"]
    assert found["effect"] > 0.1 and found["kind"] == "depth"
    assert found["alone"] < 1e-5 and found["swapped"] < 1e-5


def test_they_are_those_of_the_apply_controlnet_node(report):
    assert report["predictions"]["host"] < 1e-5


def test_conditions_without_a_hint_are_predicted_as_ever(report):
    found = report["predictions"]
    assert found["plain_stays"] == 0 and found["no_strength"] < 1e-6 and found["net_is_unchanged"] == 0


def test_a_controlnet_of_the_conditioning_stays(report):
    assert report["chained"]["adds"] > 0.1 and report["chained"]["and_ours"] > 0.1


@pytest.mark.parametrize("method", ["sds", "tbsd", "vsd", "ism", "sdi"])
def test_every_method_paints_with_it(report, method):
    found = report["methods"][method]
    assert found["always"] and found["effect"] > 1e-4 and found["kind"] == "depth"


def test_one_that_belongs_to_another_model_is_refused(report):
    assert report["refusals"]["fits"] == ""
    for name, what in WHAT.items():
        assert what in report["refusals"][name]
