"""Cameras of the host's 3D viewers, in and out, and pictures as the start of a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

INSIDE = Path(__file__).parent / "inside" / "cameras.py"


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def report(comfyui) -> dict:
    return comfyui.run_script(INSIDE)


def test_cameras_come_back_as_they_were(report):
    assert report["back"] < 1e-3
    assert report["position"] == pytest.approx({"x": 0.0, "y": 0.0, "z": 3.0}, abs=1e-5), "the front faces +z"


def test_a_target_is_the_objects_centre_and_zoom_is_a_longer_lens(report):
    assert report["panned"] < 1e-4


def test_ranges_are_moved_around_a_camera(report):
    assert report["around"] == pytest.approx([-30.0, 150.0, 70.0, 90.0, 2.0])
    assert report["middle"] < 1e-4 and report["one"] == [None, None], "its distance and lens are those of all"


def test_what_has_no_counterpart_is_refused(report):
    for said, text in zip(("orthographic", "rolled by 60", "distance", "damaged"), report["refused"], strict=True):
        assert said in text


@pytest.mark.since("0.23.0")
def test_the_hosts_own_cameras_are_ours(report):
    assert report["theirs"] < 1e-3 and report["quaternion"] < 1e-5


def views(**inputs) -> dict:
    given = {"scene": ["scene", 0], "n_views": 2, "size": 32, "elevation": 15.0, "distance": 3.0, "fov_y": 36.0}
    return node("TBSD_RenderViews", **(given | inputs))


def test_render_views_begins_where_a_camera_stands(server):
    widths = {"azimuth_min": 90.0, "azimuth_max": 90.0, "elevation_min": 30.0, "elevation_max": 30.0}
    graph = {
        "scene": node("TBSD_GaussianScene", n_gaussians=200, relocate_every=0, backend="auto", seed=0),
        "cameras": node("TBSD_Cameras", distance=2.5, fov_y=40.0, stratified=True, **widths),
        "with": views(camera_info=["cameras", 1]),
        "without": views(n_views=4, elevation=30.0, distance=2.5, fov_y=40.0),
        "show": node("PreviewImage", images=["with", 0]),
        "all": node("PreviewImage", images=["without", 0]),
    }
    outputs = server.run(graph)
    some, turn = ([np.asarray(Image.open(server.file(f))) for f in outputs[k]["images"]] for k in ("show", "all"))
    for picture, expected in zip(some, (turn[1], turn[3]), strict=True):
        assert np.abs(picture.astype(int) - expected).max() <= 1
    assert np.abs(some[0].astype(int) - turn[0]).max() > 8


@pytest.mark.since("0.23.0")
def test_our_camera_goes_to_the_hosts_renderers_and_theirs_to_ours(server):
    orbit = {"mode": "orbit", "mode.yaw": 20.0, "mode.pitch": 10.0, "mode.distance": 3.0}
    zeros = dict.fromkeys(("target_x", "target_y", "target_z", "roll"), 0.0)
    graph = {
        "sample": node("TBSD_SampleMesh", shape="cube", resolution=16),
        "info": node("CreateCameraInfo", **orbit, **zeros, fov=36.0, zoom=1.0, camera_type="perspective"),
        "scene": node("TBSD_GaussianScene", n_gaussians=100, relocate_every=0, backend="auto", seed=0),
        "views": views(camera_info=["info", 0]),
        "render": node(
            "RenderMesh", mesh=["sample", 0], mode="auto", width=64, height=64, background="#000000",
            camera_info=["views", 4],
        ),
        "show": node("PreviewImage", images=["render", 0]),
    }  # fmt: skip
    picture = np.asarray(Image.open(server.file(server.run(graph)["show"]["images"][0])))
    assert 0.1 < (picture.max(-1) > 0).mean() < 0.9


def test_a_picture_is_the_start_of_an_image_scene(server):
    path = server.base / "input" / "start.png"
    path.parent.mkdir(exist_ok=True)
    ramp = np.zeros((32, 64, 3), np.uint8)
    ramp[..., 0], ramp[:, 32:, 1] = np.linspace(40, 200, 64).astype(np.uint8), 180
    Image.fromarray(ramp).save(path)
    graph = {
        "load": node("LoadImage", image="start.png"),
        "demo": node("TBSD_DemoModels"),
        "pixels": node("TBSD_ImageScene", size=32, n_images=3, seed=0, image=["load", 0]),
        "keep": node("TBSD_SaveScene", scene=["pixels", 0], filename_prefix="tbsd/started"),
        "latents": node(
            "TBSD_ImageScene", size=64, n_images=1, seed=0, image=["load", 0], vae=["demo", 2], model=["demo", 0]
        ),
        "kept": node("TBSD_SaveScene", scene=["latents", 0], filename_prefix="tbsd/started_latents"),
    }
    from safetensors.torch import load_file

    outputs = server.run(graph)
    pixels = load_file(server.base / "output" / outputs["keep"]["text"][0])["scene.pixels"].mul(4).sigmoid()
    assert pixels.shape == (1, 3, 32, 32), "as many as there are, cut around the middle"
    expected = ramp[:, 16:48].transpose(2, 0, 1) / 255
    assert np.abs(pixels[0].numpy() - expected).max() < 0.01
    latents = load_file(server.base / "output" / outputs["kept"]["text"][0])["scene.latents"]
    assert latents.std() > 0.2 and latents.shape[0] == 1
    del graph["latents"]["inputs"]["model"]
    assert "connect model" in server.error(graph)
