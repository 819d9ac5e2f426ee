"""The turn that Render Views hands to the browser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tbsd_pack.tbsd_core.memory import available_bytes

pytestmark = pytest.mark.once  # of the core


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def turn(n_views: int, size: int, **more) -> dict:
    scene = node("TBSD_NeRFScene", encoding="dense", detail=17, n_samples=12, opacity_weight=0.0, tv_weight=0.0, seed=3)
    views = {"n_views": n_views, "size": size, "elevation": 10.0, "distance": 3.0, "fov_y": 36.0}
    return {"scene": scene, "views": node("TBSD_RenderViews", scene=["scene", 0], **views)} | more


@pytest.mark.parametrize("n_views, frames, columns", [(1, 1, 1), (6, 6, 3), (53, 48, 7)])
def test_the_frames_are_one_small_picture_and_the_node_runs_alone(server, n_views, frames, columns):
    (sheet,) = server.run(turn(n_views, 16))["views"]["tbsd_orbit"]
    assert (sheet["frames"], sheet["columns"], sheet["type"]) == (frames, columns, "temp")
    picture = Image.open(server.file(sheet))
    assert picture.size == (columns * 16, -(-frames // columns) * 16)
    assert server.file(sheet).stat().st_size < 100_000


def test_a_frame_is_the_view_at_its_place(server):
    save = node("SaveImage", images=["views", 0], filename_prefix="orbit")
    outputs = server.run(turn(4, 32, save=save))
    sheet = np.asarray(Image.open(server.file(outputs["views"]["tbsd_orbit"][0]))).astype(float)
    for i, saved in enumerate(outputs["save"]["images"]):
        view = np.asarray(Image.open(server.file(saved)))[..., :3].astype(float)
        row, column = divmod(i, 2)
        cell = sheet[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32]
        assert np.abs(cell - view).mean() < 6, "JPEG changes a little"


def test_large_views_are_made_smaller(server):
    (sheet,) = server.run(turn(2, 304))["views"]["tbsd_orbit"]
    assert Image.open(server.file(sheet)).size == (512, 256)


@pytest.mark.skipif(
    (available_bytes(torch.device("cpu")) or 0) > 50 * 2**30, reason="this machine's memory holds the largest turn"
)
def test_pictures_that_no_memory_holds_are_refused_before_the_first(server):
    told = server.error(turn(360, 2048))
    assert "360 views at 2048 pixels make pictures of 56.2 GiB" in told and "at this size" in told
