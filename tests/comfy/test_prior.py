"""A MODEL and a VAE as the core's prior, for every family of models."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
FAMILIES = {  # levels of the table that have a variance-preserving counterpart
    "EPS": 1000,
    "EPS zero terminal SNR": 1000,
    "X0": 1000,
    "V": 1000,
    "V EDM": 1000,
    "V continuous": 1000,
    "EDM": 1000,
    "cosmos": 1000,
    "FLOW": 999,
    "FLOW large shift": 999,
    "FLUX": 9999,
    "FLUX large picture": 1892,
    "FLUX no shift": 9998,
}
BATCHED = {  # sizes of the forwards for two conditions of two views
    "EPS": [4],
    "V": [4],
    "EDM": [4],
    "FLOW": [4],
    "SDXL": [4],
    "SD3": [4],
    "FLUX": [4],
    "cross attention, other lengths": [4],
    "joint attention, other lengths": [2, 2],  # tokens of joint attention cannot be repeated to one length
}
REFUSALS = {
    "keyframes": "strength changes with the timestep",
    "inpainting": "second picture",
    "channels": "16 channels",
    "video": "makes videos",
    "img_to_img": "gives no score",
    "lcm": "it uses the sampling of an LCM",
    "no_sigmas": "no table of noise levels",
    "no_vae": "No VAE",
    "easycache": "EasyCache",
    "flat_table": "Lower the shift",
}


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE / "prior.py")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_ideal_network_gives_back_the_noise(report, family):
    found = report["families"][family]
    assert found["error"] < 1e-5
    assert found["low"] < 2e-6, "at low noise, where float32 holds x_t to 1e-7, in units of x_t"
    assert found["levels"] == FAMILIES[family]


@pytest.mark.parametrize("family", BATCHED)
def test_conditions_and_views_in_one_forward_are_what_they_are_alone(report, family):
    found = report["batched"][family]
    assert found["forwards"] == BATCHED[family]
    assert found["finite"] and found["difference"] < 2e-4 < 0.1 < found["views_differ"]
    assert found["dtype"] == "torch.float32" and not found["requires_grad"]


def test_an_eps_model_predicts_what_its_network_says(report):
    assert report["direct"] < 1e-4


def test_the_model_keeps_its_dtype(report):
    found = report["half_precision"]
    assert found["dtype"] == "torch.float32" and found["weights"] == "torch.bfloat16"
    assert 0 < found["difference"] < 0.2


def test_loras_act_and_leave_the_model_as_it_was(report):
    lora = report["lora"]
    assert lora["effect"] > 0.1
    assert lora["restored"] == lora["after"] == 0
    assert lora["hook_is_patch"] < 1e-5 and lora["hook_leaves_the_others"] < 1e-5


def test_a_controlnet_acts_on_its_condition_alone(report):
    assert report["control"]["effect"] > 0.1 and report["control"]["others"] < 1e-4


def test_a_controlnet_for_both_sides_reaches_the_other_conditions(report):
    assert report["control"]["marked_effect"] > 0.1 and report["control"]["marked"] < 1e-4


def test_a_controlnet_with_a_range_acts_on_the_samples_inside_it(report):
    assert report["control"]["range_matters"] > 0.1 and report["control"]["range"] < 1e-4


def test_wrappers_see_one_forward_and_patches_two_sides(report):
    assert report["wrappers"]["calls"] == [6] and report["wrappers"]["sides"] == [[0, 1, 1]]


def test_patches_know_the_negatives(report):
    """Also where the empty prompt is alone, comes first, or shares a forward with the target."""
    known = report["wrappers"]["known"]
    assert known["run"] == {"target": [[0]], "uncond": [[1]], "target_negative": [[1]], "source": [[0]]}
    assert known["alone"] == [[1]] and known["mixed"] == [[0, 1]]
    assert known["swapped"] == [[1 - side for side in sides] for sides in known["in order"]] != known["in order"]


def test_patches_of_the_samplers_guidance_are_not_ignored_silently(report):
    (warning,) = report["wrappers"]["warned"]
    assert "sampler_cfg_function" in warning


@pytest.mark.parametrize(("model", "n", "shift"), [("SD3", 1000, 3.0), ("FLUX", 10000, 2.718281828**1.15)])
def test_uniform_timesteps_are_the_shifted_times_of_a_flow_model(report, model, n, shift):
    found = report["tables"][model]
    expected = [shift * f / (1 + (shift - 1) * f) for f in ((i + 1) / n for i in range(n - 1))]
    assert found["sigmas"][50:] == pytest.approx(expected[50:], rel=1e-4)
    assert found["schedule"] < 1e-6, "sigma_t / (alpha_t + sigma_t) of the schedule"


def test_the_guidance_embedding_is_read_from_the_conditioning(report):
    assert report["guidance_embedding"]["effect"] > 0.1
    assert report["guidance_embedding"]["default"] < 1e-4, "1: nothing is guided before the method guides"
    assert report["guidance_embedding"]["host's"] > 0.01, "ComfyUI's default of 3.5"


def test_comfyui_loads_the_model_and_makes_room_for_the_encoder(report):
    memory = report["memory"]
    assert memory["kept"] == [1, 0] and memory["loaded"] == 1, "the VAE's weights are a copy that it does not manage"
    assert memory["required"] >= memory["for_vae"] + 2, "four conditions where a sampler has two, and the encoder"
    assert 0.4 < memory["on a small card"] < 0.6, "one of two views, since both do not fit beside the weights"


@pytest.mark.parametrize("what", REFUSALS)
def test_what_would_go_wrong_silently_is_refused(report, what):
    assert REFUSALS[what] in report["refusals"][what]
