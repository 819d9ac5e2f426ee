"""The family of a MODEL, which decides its recommended settings."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
WEIGHTS = Path(__file__).resolve().parents[2] / "tbsd_core" / "priors" / "small_world" / "weights"

KNOWN = {
    "SD15": "sd15",
    "SD20 eps": "sd21_base",
    "SD20 v": "sd21_v",
    "SDXL": "sdxl",
    "SD3": "sd3",
    "Flux": "flux",
    "demo": "demo",
}
NEAREST = {"SDXLRefiner": "sdxl", "AuraFlow": "sd3", "PixArtSigma": "sd15"}


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "family.py", WEIGHTS)


@pytest.mark.parametrize("model, family", KNOWN.items())
def test_known_families_are_told(report, model, family):
    assert report[model] == [family, ""]


def test_a_distilled_model_is_pointed_out(report):
    assert report["FluxSchnell"][0] == "flux" and "If it is schnell" in report["FluxSchnell"][1]


@pytest.mark.parametrize("model, family", NEAREST.items())
def test_other_families_get_the_nearest_one_and_say_so(report, model, family):
    assert report[model][0] == family
    assert report[model][1].startswith(f"{model} has no settings of its own") and "nearest" in report[model][1]


def test_refine_as_mesh_has_the_noise_of_the_command_line_or_the_users(report):
    noise = report["noise"]
    assert noise["demo"] == [0.02, 0.5, 0.15] and noise["SD15"] == [0.02, 0.5, 0.5], "as experiment.refine has it"
    assert noise["SD15 hifa"] == [0.02, 0.5, 0.3]
    assert noise["yours"] == [0.2, 0.5, 0.4] and noise["too much"] == [0.3, 0.5, 0.3]
