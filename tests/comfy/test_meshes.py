"""Meshes go to the host's own nodes and come from them: in the same place, in the same colours, with all they carry."""

from __future__ import annotations

from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
VIEW = {"width": 64, "height": 64, "viewport_state": {}}


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


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def scene(**inputs) -> dict:
    given = {"mesh_file": "", "up": "y", "turn": 0.0, "detail": 17, "shading": "soft", "keep_colors": False, "seed": 0}
    return node("TBSD_MeshTextureScene", **(given | inputs))


@pytest.mark.since("0.33.0")
@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_the_hosts_nodes_take_our_file_and_we_take_theirs(server, kind):
    graph = {
        "sample": node("TBSD_SampleMesh", shape="cube", resolution=16),
        "save": node("TBSD_SaveMesh", mesh=["sample", 0], filename_prefix=f"tbsd/box_{kind}", format=kind),
        "preview": node("Preview3D", model_file=["save", 1]),
        "advanced": node("Preview3DAdvanced", model_3d=["save", 1], **VIEW),
        "core": node("SaveGLB", mesh=["save", 1], filename_prefix="3d/ours"),
        "scene": scene(file_3d=["save", 1]),
        "memory": node("MeshToFile3D", mesh=["sample", 0]),
        "other": scene(file_3d=["memory", 0], seed=ord(kind[0])),  # never from the cache
        "keep": node("TBSD_SaveScene", scene=["scene", 0], filename_prefix="tbsd/of_file"),
        "kept": node("TBSD_SaveScene", scene=["other", 0], filename_prefix="tbsd/of_memory"),
    }
    outputs = server.run(graph)
    assert {"preview", "advanced", "core", "keep", "kept"} <= outputs.keys()
    written = (server.base / "output" / outputs["save"]["text"][0]).read_bytes()
    assert server.file(outputs["core"]["3d"][0]).read_bytes() == written
    assert outputs["core"]["3d"][0]["filename"].endswith(f".{kind}")
    assert all("triangles" in outputs[each]["text"][0] for each in ("scene", "other"))


@pytest.mark.since("0.33.0")
def test_one_mesh_is_enough(server):
    graph = {
        "sample": node("TBSD_SampleMesh", shape="cube", resolution=16),
        "memory": node("MeshToFile3D", mesh=["sample", 0]),
        "scene": scene(file_3d=["memory", 0], mesh=["sample", 0]),
        "keep": node("TBSD_SaveScene", scene=["scene", 0], filename_prefix="tbsd/two"),
    }
    assert "two connected ones" in server.error(graph)


def test_a_text_is_no_file(server):
    graph = {
        "scene": scene(file_3d="/etc/passwd"),
        "keep": node("TBSD_SaveScene", scene=["scene", 0], filename_prefix="tbsd/two"),
    }
    assert "needs a connection of the type" in server.error(graph)
