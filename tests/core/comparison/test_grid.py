from __future__ import annotations

import numpy as np
import torch
from tbsd_pack.tbsd_core.comparison.grid import CELL, LABEL, MARGIN, ROW_WIDTH, Tile, draw_grid, montage, read_views
from tbsd_pack.tbsd_core.media import write_strip

RED, BLUE = np.full((8, 8, 3), [200, 0, 0], np.uint8), np.full((8, 8, 3), [0, 0, 200], np.uint8)


def place(row: int, column: int) -> tuple[slice, slice]:
    top = 2 * LABEL + 2 * MARGIN + row * (CELL + MARGIN)
    left = ROW_WIDTH + MARGIN + column * (CELL + MARGIN)
    return slice(top, top + CELL), slice(left, left + CELL)


def test_pictures_stand_where_their_row_and_column_meet():
    grid = draw_grid(["one", "two"], ["first", "second"], {(0, 0): Tile(RED), (1, 1): Tile(BLUE)})
    assert (grid[place(0, 0)] == [200, 0, 0]).all() and (grid[place(1, 1)] == [0, 0, 200]).all()
    assert (grid[place(0, 1)] != grid[place(0, 0)]).any()


def ink(area: np.ndarray) -> float:
    return float((area.min(-1) < 128).mean())


def test_every_label_is_written_and_large_enough_for_a_thumbnail():
    from PIL import Image

    tiles = {(r, c): Tile(RED) for r in range(2) for c in range(4)}
    grid = draw_grid(["sds", "csd", "bridge", "tbsd"], ["a brick house\nseed 0", "a brick house\nseed 1"], tiles)
    head = 2 * LABEL + 2 * MARGIN
    for c in range(4):
        column = place(0, c)[1]
        assert ink(grid[:head, column]) > 0.01
    for r in range(2):
        assert ink(grid[place(r, 0)[0], :ROW_WIDTH]) > 0.005
    names = [grid[:head, place(0, c)[1]] for c in range(4)]
    assert not any((a == b).all() for i, a in enumerate(names) for b in names[:i])
    # at a third of its size the labels still differ and are not grey haze
    small = np.asarray(Image.fromarray(grid).resize((grid.shape[1] // 3, grid.shape[0] // 3), Image.Resampling.LANCZOS))
    assert (small[: head // 3, place(0, 3)[1].start // 3 :].min(-1) < 110).any()


def test_a_failed_cell_says_why_and_a_missing_one_that_it_was_not_run():
    reasons = {(0, 0): Tile(text="ValueError: no LoRA here", failed=True), (0, 1): Tile(text="other", failed=True)}
    grid = draw_grid(["a", "b", "c"], ["r"], reasons)
    first, second, absent = (grid[place(0, c)] for c in range(3))
    assert ink(first) > 0.01 and (first != second).any()
    assert ((first[..., 0] > 120) & (first[..., 1] < 60)).any(), "the word in red"
    assert ink(absent) > 0.005 and not ((absent[..., 0] > 120) & (absent[..., 1] < 60)).any()


def test_long_labels_and_reasons_stay_inside_their_boxes():
    label, reason = "an extraordinarily long label " * 6, "Incomprehensibilities" * 40
    grid = draw_grid([label, "b"], [label * 3], {(0, 0): Tile(text=reason, failed=True), (0, 1): Tile(RED)})
    gap = place(0, 1)[1].start - MARGIN
    assert (grid[:, gap : gap + MARGIN] == 255).all()
    assert (grid[place(0, 1)] == [200, 0, 0]).all()


def test_a_montage_shows_four_sides_and_strips_are_read_back(tmp_path):
    views = torch.stack([torch.full((3, 4, 4), i / 20) for i in range(12)])
    square = montage(views)
    assert square.shape == (3, 8, 8)
    corners = [square[0, y, x] for y in (0, 7) for x in (0, 7)]
    torch.testing.assert_close(torch.stack(corners), torch.tensor([0.0, 3 / 20, 6 / 20, 9 / 20]))
    assert torch.equal(montage(views[:1]), views[0])
    write_strip(views, tmp_path / "views.png")
    torch.testing.assert_close(read_views(tmp_path / "views.png"), views, atol=1 / 255, rtol=0)
