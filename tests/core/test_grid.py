from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.grid import MIN_PANEL, labelled_grid, stacked

RED, BLUE = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])


def flat(colour: torch.Tensor, size: int = 64) -> torch.Tensor:
    return colour.view(3, 1, 1).expand(3, size, size)


def where(sheet: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Bounding box (top, left, bottom, right), the ends excluded, of one colour in a sheet."""
    y, x = ((sheet - colour.view(3, 1, 1)).abs().sum(0) < 1e-3).nonzero().unbind(1)
    return torch.stack([y.min(), x.min(), y.max() + 1, x.max() + 1])


def test_pictures_stand_in_their_row_and_column():
    sheet = labelled_grid([[flat(RED), None], [None, flat(BLUE)]], ["a", "b"], ["x", "y"], "title")
    red, blue = where(sheet, RED), where(sheet, BLUE)
    assert (red[2:] - red[:2]).tolist() == [MIN_PANEL, MIN_PANEL] == (blue[2:] - blue[:2]).tolist()
    assert bool((blue[:2] >= red[2:]).all()), "below and to the right"


def test_small_pictures_are_enlarged_without_smoothing_and_large_ones_kept():
    checks = torch.zeros(3, 64, 64)
    checks[:, ::2, ::2] = 1
    sheet = labelled_grid([[checks]], [""], [""])
    values = sheet.unique()
    assert set(values.tolist()) == {0.0, 1.0}
    assert (where(labelled_grid([[flat(RED, 300)]], [""], [""]), RED)[2:] - 300 > 0).all()


def test_every_label_is_drawn_and_stays_readable_in_a_thumbnail():
    images = [[flat(RED)] * 5] * 2
    plain = labelled_grid(images, ["", ""], [""] * 5)
    for change in (
        dict(title="title"),
        dict(columns=["", "", "x", "", ""]),
        dict(rows=["", "b"]),
        dict(captions=[[""] * 5, ["", "", "", "", "note"]]),
        dict(row_axis="rows"),
        dict(column_axis="columns"),
    ):
        sheet = labelled_grid(images, **({"rows": ["", ""], "columns": [""] * 5} | change))
        ink = (sheet.amax(0) < 0.6).sum()
        assert ink > (plain.amax(0) < 0.6).sum(), change
    marked = labelled_grid(images, ["", ""], ["H", "", "", "", ""])
    rows = (marked[0, :, : marked.shape[2] // 5] < 0.5).any(1).nonzero()
    height = int(rows.max() - rows.min() + 1) * 256 / marked.shape[2]
    assert height >= 6, "the capital of a column label at a width of 256 pixels"


def test_long_labels_stay_inside_the_sheet():
    long = "a label that is much too long for the width of its one column and has several words"
    sheet = labelled_grid([[flat(RED)]], [long], [long], long, [[long]], long, long)
    border = torch.cat([sheet[:, :2].flatten(1), sheet[:, -2:].flatten(1), sheet[:, :, :2].flatten(1)], 1)
    assert bool((border == 1).all())


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(rows=[]), "one label per row and column"),
        (dict(columns=["x", "y"]), "one label per row and column"),
        (dict(captions=[["a", "b"]]), "one caption per picture"),
        (dict(images=[[torch.zeros(64, 64)]]), r"pictures \[3, H, W\], got \[64, 64\]"),
        (dict(images=[[None]]), "at least one picture"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        labelled_grid(**({"images": [[flat(RED)]], "rows": ["a"], "columns": ["x"]} | change))


def test_stacked_sheets_keep_their_pixels():
    sheet = stacked(flat(RED, 4), flat(BLUE, 6))
    assert sheet.shape == (3, 10, 6)
    assert torch.equal(sheet[:, :4, 1:5], flat(RED, 4)) and torch.equal(sheet[:, 4:], flat(BLUE, 6))
    assert bool((sheet[:, :4, [0, 5]] == 1).all())


def ink(area: torch.Tensor) -> float:
    return float((area.amin(0) < 0.5).float().mean())


def test_words_stand_where_a_picture_is_missing_and_stay_in_their_place():
    words = ["failed\nValueError: no LoRA here", "Incomprehensibilities " * 40, "I" * 900]
    reasons = [*words, flat(BLUE, MIN_PANEL), None]
    sheet = labelled_grid([reasons], [""], [""] * 5)
    top, left, bottom, _ = where(sheet, BLUE).tolist()
    gap = max(6, MIN_PANEL // 24)
    places = [sheet[:, top:bottom, left - i * (MIN_PANEL + gap) :][:, :, :MIN_PANEL] for i in (3, 2, 1, -1)]
    assert all(ink(place) > 0.01 for place in places[:3]) and ink(places[3]) == 0
    for i in (1, 2, 3):  # what separates them stays white
        assert (sheet[:, top:bottom, left - i * (MIN_PANEL + gap) + MIN_PANEL :][:, :, :gap] == 1).all()
    words_only = labelled_grid([["failed"]], ["a"], ["x"])
    assert min(words_only.shape[1:]) > MIN_PANEL
