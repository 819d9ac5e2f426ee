"""Mistakes in a workflow are reported in plain words, before it runs if that can be known."""

from __future__ import annotations

import pytest

SCENE = {"class_type": "TBSD_ImageScene", "inputs": {"size": 16, "n_images": 1, "seed": 0}}
CAMERAS = {"azimuth_min": -180, "azimuth_max": 180, "elevation_min": 0, "elevation_max": 45, "distance": 3, "fov_y": 36}
CAMERAS |= {"stratified": True}
TIMES = {"t_min": 0.02, "t_max": 0.98, "t_max_end": 0.5, "anneal_end": 0.8, "anneal": "linear", "draw": "uniform"}


def graph(kind: str, **inputs) -> dict:
    """A node before one that the host runs."""
    return {"asked": {"class_type": kind, "inputs": inputs}, "end": {"class_type": "PreviewAny", "inputs": {}}}


def ended(prompt: dict) -> dict:
    prompt["end"]["inputs"] = {"source": ["asked", 0]}
    return prompt


def cameras(**changes) -> dict:
    return ended(graph("TBSD_Cameras", **CAMERAS | changes))


def times(**changes) -> dict:
    return ended(graph("TBSD_Timesteps", **TIMES | changes))


def saved(prefix: str) -> dict:
    save = {"class_type": "TBSD_SaveScene", "inputs": {"scene": ["scene", 0], "filename_prefix": prefix}}
    return {"scene": SCENE, "save": save}


def encoded(prompt: str) -> dict:
    made = graph("TBSD_PromptEncode", clip=["models", 1], prompt=prompt, view_dependent=True)
    return ended(made | {"models": {"class_type": "TBSD_DemoModels", "inputs": {}}})


def analysis(kind: str, **inputs) -> dict:
    """An analysis whose other inputs need not be there: its texts are read first."""
    return {"asked": {"class_type": kind, "inputs": inputs}}


REFUSED = {
    "no values": (analysis("TBSD_SweepShape", values=" , "), "values is empty"),
    "moments that are no numbers": (analysis("TBSD_OverTime", moments="soon"), "moments must be numbers"),
    "a noise level beyond all noise": (analysis("TBSD_InspectDirections", noise_levels="0.5, 7", progress="0.5"), "t"),
    "a number out of range beside one that a node gives": (
        times(t_min=["number", 0], t_max=5.0) | {"number": {"class_type": "PrimitiveFloat", "inputs": {"value": 0.1}}},
        "t_max must lie in",
    ),
    "cameras that end before they begin": (cameras(azimuth_min=90, azimuth_max=-90), "azimuth"),
    "elevations the wrong way round": (cameras(elevation_min=40, elevation_max=10), "elevation"),
    "an elevation out of range": (cameras(elevation_max=95), "elevation_max must lie in"),
    "timesteps the wrong way round": (times(t_min=0.8, t_max=0.3), "t_m"),
    "a timestep that is no number": (times(t_min="nan"), "t_min must lie in"),
    "no prompt": (encoded("  "), "prompt must say what to make"),
    "a file that is not there": (ended(graph("TBSD_LoadScene", scene_file="tbsd/nothing.safetensors")), "nothing"),
    "a file elsewhere": (ended(graph("TBSD_LoadScene", scene_file="../../etc/passwd")), "output or input folder"),
    "a prefix that leads out": (saved("../../escaped"), "output folder"),
    "an absolute prefix": (saved("/tmp/escaped"), "output folder"),
    "a way out as Windows writes it": (saved("..\\..\\escaped"), "output folder"),
    "a drive": (saved("C:\\escaped"), "is not a valid file name"),
    "a device": (saved("tbsd/nul.txt"), "is not a valid file name"),
    "a null byte": (saved("a\u0000b"), "is not a valid file name"),
    "text that runs backwards": (saved("tbsd/\u202etxt.exe"), "is not a valid file name"),
    "an endless name": (saved("x" * 1000), "is not a valid file name"),
    "an empty prefix": (saved(" "), "output folder"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_before_anything_runs(server, name):
    prompt, expected = REFUSED[name]
    with pytest.raises(Exception) as caught:
        server.queue(prompt)
    details = caught.value.details  # type: ignore[attr-defined]
    errors = [error for node in details["node_errors"].values() for error in node["errors"]]
    assert any(expected in error["details"] and len(error["details"]) > 30 for error in errors), errors


def test_a_value_in_place_of_a_connection_is_explained(server):
    prompt = saved("tbsd/x")
    prompt["save"]["inputs"]["scene"] = "../../etc/passwd"
    message = server.error(prompt)
    assert "scene needs a connection of the type TBSD_SCENE, got '../../etc/passwd'. Connect" in message


def test_a_choice_that_is_none_is_explained(server):
    message = server.error(times(anneal="suddenly"))  # by newer hosts before it reaches the node
    assert all(word in message for word in ("anneal", "linear", "sqrt", "'suddenly'"))


def test_a_name_of_another_script_is_fine(server):
    name = server.run(saved("tbsd/\u6728\u306e\u5bb6-été 1"))["save"]["text"][0]
    assert name.startswith("tbsd/\u6728\u306e\u5bb6-été 1_") and (server.base / "output" / name).is_file()


def test_a_clash_that_another_node_gives_is_told_when_it_runs(server):
    prompt = times(t_min=["number", 0])
    prompt["number"] = {"class_type": "PrimitiveFloat", "inputs": {"value": 0.99}}
    assert "t_m" in server.error(prompt)
