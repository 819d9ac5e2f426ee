"""Splats go on to the host's own nodes and come from them: upright, in the same place and in the same colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

INSIDE = Path(__file__).parent / "inside" / "splats.py"
VIEW = {"width": 64, "height": 64, "viewport_state": {}}


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def saved(**inputs) -> dict:
    """A graph that saves a small scene of splats."""
    return {
        "scene": node("TBSD_GaussianScene", n_gaussians=100, relocate_every=0, backend="auto", seed=0, **inputs),
        "save": node("TBSD_SaveSplats", scene=["scene", 0], filename_prefix="tbsd/splats"),
    }


@pytest.fixture(scope="module")
def report(comfyui, tmp_path_factory) -> dict:
    return comfyui.run_script(INSIDE, tmp_path_factory.mktemp("drawn"))


def test_splats_come_back_as_they_were(report):
    assert report["back"] < 1e-6


@pytest.mark.since("0.23.0")
@pytest.mark.parametrize("way", ["ours there", "file there", "theirs here", "web there"])
def test_both_draw_the_same_picture(report, way):
    found = report[way]
    assert found["iou"] > 0.95 > 0.8 > found["flipped"]
    assert found["gap"] < 2 and found["halves"] < 2, "in 1/255, of the whole and of its upper and lower half"


@pytest.mark.since("0.23.0")
def test_the_hosts_splats_are_taken_for_what_they_are(report):
    assert report["type"]
    assert report["notes"] == [
        "12,000 Gaussians",
        "colours that change with the view (degree 1) are not kept, only their mean",
    ]
    assert report["own place"] < 1e-4 and report["scale"] < 0.5
    assert report["files"]["ply"] < 1e-6
    assert all("Get Splat" in report["files"][kind] for kind in ("ksplat", "spz"))


def test_the_socket_gives_what_the_hosts_nodes_take(server):
    graph = saved()
    takes = server.request("/object_info/Preview3D")["Preview3D"]["input"]["required"]["model_file"][0]
    if "FILE_3D" in str(takes).split(","):
        outputs = server.run(graph | {"show": node("Preview3D", model_file=["save", 1])})
        shown = server.base / "output" / outputs["show"]["result"][0]
    else:  # the path, as the tooltip says
        outputs = server.run(graph | {"show": node("PreviewAny", source=["save", 1])})
        shown = Path(outputs["show"]["text"][0])
    written = server.base / "output" / outputs["save"]["text"][0]
    assert shown.read_bytes() == written.read_bytes() and written.stat().st_size > 100 * 50


@pytest.mark.since("0.24.0")
def test_preview_splat_save_splat_and_render_splat_take_our_outputs(server):
    graph = saved() | {
        "preview": node("PreviewGaussianSplat", model_3d=["save", 1], **VIEW),
        "core": node("SaveGaussianSplat", model_3d=["save", 1], filename_prefix="3d/ours", **VIEW),
        "splat": node("File3DToSplat", model_3d=["save", 1]),
        "ours": node(
            "TBSD_GaussianScene", splat=["splat", 0], n_gaussians=100, relocate_every=0, backend="auto", seed=0
        ),
        "again": node("TBSD_SaveSplats", scene=["ours", 0], filename_prefix="tbsd/again"),
        "render": node(
            "RenderSplat",
            splat=["again", 2],
            **{"width": 64, "height": 64, "frames": 1, "splat_scale": 1.0, "sharpen": 2.0, "headlight_shading": 0.0},
            **{"opacity_threshold": 0.0, "render_style": "color", "background": "#000000"},
        ),
        "show": node("PreviewImage", images=["render", 0]),
    }
    outputs = server.run(graph)
    assert {"preview", "core", "show"} <= outputs.keys()
    written, again = ((server.base / "output" / outputs[k]["text"][0]).read_bytes() for k in ("save", "again"))
    a, b = (np.frombuffer(data[data.index(b"end_header\n") + 11 :], "<f4").reshape(-1, 17) for data in (written, again))
    assert np.allclose(a[:, :13], b[:, :13], atol=1e-4)
    assert np.allclose(np.abs((a[:, 13:] * b[:, 13:]).sum(-1)), 1, atol=1e-4), "a quaternion and its negative are one"
    assert "100 Gaussians" in outputs["ours"]["text"][0]


def test_a_file_in_a_folder_is_a_start(server):
    name = server.run(saved())["save"]["text"][0]
    outputs = server.run(saved(splat_file=f"{name} [output]"))
    assert "100 Gaussians" in outputs["scene"]["text"][0]
    # what Save Splats wrote before stood with +y up
    turned = server.run(saved(splat_file=name, up="y"))["save"]["text"][0]
    read = [(server.base / "output" / each).read_bytes() for each in (name, turned)]
    first, second = (np.frombuffer(data[data.index(b"end_header\n") + 11 :], "<f4").reshape(-1, 17) for data in read)
    assert np.allclose(first[:, 1], -second[:, 1], atol=1e-5) and np.allclose(first[:, 0], second[:, 0], atol=1e-5)


@pytest.mark.parametrize("name, said", [("../../secret.ply", "output or input folder"), ("nothing.ply", "nothing.ply")])
def test_a_file_name_is_checked_before_anything_runs(server, name, said):
    with pytest.raises(AssertionError) as caught:
        server.run(saved(splat_file=name))
    assert said in str(caught.value.details)  # type: ignore[attr-defined]


@pytest.mark.since("0.23.0")
def test_one_start_is_enough(server):
    graph = saved(splat_file=server.run(saved())["save"]["text"][0], splat=["other", 0])
    graph |= {"begin": node("TBSD_GaussianScene", n_gaussians=100, relocate_every=0, backend="auto", seed=1)}
    graph |= {"kept": node("TBSD_SaveSplats", scene=["begin", 0], filename_prefix="tbsd/other")}
    graph["scene"]["inputs"]["splat"] = ["kept", 2]
    assert "splat and splat_file" in server.error(graph)
