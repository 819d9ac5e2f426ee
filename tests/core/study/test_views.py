from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.media import write_strip
from tbsd_pack.tbsd_core.study import montage, read_views


def test_a_montage_shows_four_sides_and_strips_are_read_back(tmp_path):
    views = torch.stack([torch.full((3, 4, 4), i / 20) for i in range(12)])
    square = montage(views)
    assert square.shape == (3, 8, 8)
    corners = [square[0, y, x] for y in (0, 7) for x in (0, 7)]
    torch.testing.assert_close(torch.stack(corners), torch.tensor([0.0, 3 / 20, 6 / 20, 9 / 20]))
    assert torch.equal(montage(views[:1]), views[0])
    assert montage(views[:2])[0, (0, 0, 7, 7), (0, 7, 0, 7)].tolist() == pytest.approx([0, 0, 0.05, 0.05])
    assert set(montage(views[:3]).unique().tolist()) == set(views[:3].unique().tolist()), "each is shown"
    write_strip(views, tmp_path / "views.png")
    torch.testing.assert_close(read_views(tmp_path / "views.png"), views, atol=1 / 255, rtol=0)


def test_a_wide_picture_of_another_program_is_one(tmp_path):
    write_strip(torch.rand(2, 3, 4, 4), tmp_path / "ComfyUI_00001_.png")
    assert read_views(tmp_path / "ComfyUI_00001_.png").shape == (1, 3, 4, 8)
