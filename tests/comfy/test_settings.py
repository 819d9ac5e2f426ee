"""Recommended Settings carries a method's whole configuration: a node with it does what the command line does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tbsd_pack.tbsd_core.guidance import METHODS

INSIDE = Path(__file__).parent / "inside"


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "settings.py")


@pytest.mark.parametrize("scene", ["image", "nerf"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_with_settings_is_that_of_the_command_line(report, method, scene):
    found = report["methods"][f"{method} {scene}"]
    assert found["config"] == found["expected"]
    assert found["preset"] == found["recommended"] and "optim.n_steps" in found["preset"]


def test_tbsd_gets_its_balancer_and_its_schedule(report):
    config = report["methods"]["tbsd nerf"]["config"]
    assert (config["guidance_scale"], config["balancer"]) == (6.0, "unit_schedule")
    assert config["balance"]["schedule"] == {"kind": "linear", "start": 1.0, "end": 0.4}


@pytest.mark.parametrize("method", METHODS)
def test_without_settings_the_widgets_count(report, method):
    config = report["methods"][f"{method} image"]["widgets"]
    assert config.get("guidance_scale", 3.5) == 3.5 and config.get("negative_start", 0.25) == 0.25


def test_the_words_of_the_prompts_are_those_of_the_command_line(report):
    found, expected = report["prompt"]
    assert found == expected and found["negative_descriptors"] == "blurry, pixelated, malformed"
    assert report["by hand"] == ["dark", ""]


def test_settings_of_another_method_are_refused(report):
    message = report["another method"]
    assert "settings are for SDS, expected settings for TBSD" in message
    assert "choose 'tbsd' as the method of Recommended Settings" in message


def test_a_value_of_ones_own_replaces_one_that_is_recommended_everywhere(report):
    found = report["changes"]
    assert found["values"] == [0.005, 0.05, 9.0, 50.0, 0.005] and found["modifier"] == ""
    assert "scene.tv_weight = 0.05  (yours)" in found["text"]
    assert found["widget"] == "optim.views_per_step is not part of a preset here: set it on the Optimize node."
    assert found["picture"].endswith("(guidance., optim., prompt.), got 'scene.seed=2'.")


def test_what_a_user_sets_for_every_run_stays_where_a_mesh_is_refined(report):
    found = report["refined"]
    assert found["values"] == [0.005, 0.5] and found["others"] == ["guidance.guidance_scale", "optim.lr"]
    assert found["schedule"][0] == found["schedule"][1]
