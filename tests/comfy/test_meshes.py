"""Meshes go to the host's own nodes and come from them: in the same place, in the same colours, with all they carry."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"


@pytest.fixture(scope="module")
def report(comfyui, tmp_path_factory) -> dict:
    return comfyui.run_script(INSIDE / "meshes.py", tmp_path_factory.mktemp("drawn"))


def test_vertex_colours_are_linear_on_the_way_and_come_back(report):
    assert report["back"] < 1e-6
    assert report["grey"] == pytest.approx(0.214, abs=1e-3), "linear light of a mid grey"


@pytest.mark.since("0.33.0")
@pytest.mark.parametrize("way", ["ours there", "theirs here"])
def test_both_draw_the_same_picture(report, way):
    """The host's renderer takes 2.2 for the exponent of sRGB, which is right to 2/255 but for dark colours."""
    found = report[way]
    assert found["iou"] > 0.99 and found["flipped"] < 0.8
    assert found["gap"] < 2 and found["most"] < 6


@pytest.mark.since("0.33.0")
def test_the_hosts_file_has_the_colours(report):
    assert report["their file here"] < 1e-5


@pytest.mark.since("0.33.0")
def test_painting_changes_the_base_colour_alone(report):
    assert all(report["equal"].values()), report["equal"]
    told = report["alike"].pop("told")
    assert all(report["alike"].values()), report["alike"]
    assert told == ["the first of 2 meshes; Merge Meshes makes one of them"]
    assert report["vertices"], "texture_size 0 colours the vertices"


@pytest.mark.since("0.33.0")
def test_our_files_say_of_the_material_what_the_hosts_say(report):
    assert report["written"]["ours"] == report["written"]["host"]


@pytest.mark.since("0.33.0")
def test_the_host_draws_what_was_painted(report):
    found = report["textured there"]
    assert found["iou"] > 0.99 and found["gap"] < 2
