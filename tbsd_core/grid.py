"""Pictures in rows and columns with labels that stay readable when the sheet is shown 256 pixels wide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .media import to_uint8
from .optional import require

MIN_PANEL = 192  # pixels: smaller pictures are enlarged by whole factors, so that their pixels stay square
LABEL_SHARE, CAPTION_SHARE = 1 / 26, 1 / 40  # of the sheet's width: at 256 pixels a label is 10 pixels high
SMALLEST = 9  # pixels of a letter
INK, SOFT_INK, PAPER, EMPTY = "#1d2433", "#5a6478", "#ffffff", "#eef0f4"


def labelled_grid(
    images: Sequence[Sequence[Tensor | str | None]],  # R rows of C pictures [3, H, W] in [0, 1]; words, or None for
    # an empty place, where there is no picture
    rows: Sequence[str],  # R labels; all empty leaves the margin out
    columns: Sequence[str],  # C labels
    title: str = "",
    captions: Sequence[Sequence[str]] | None = None,  # R rows of C texts under the pictures
    row_axis: str = "",  # the name of the row labels' values
    column_axis: str = "",
) -> Tensor:
    """A sheet [3, h, w] in [0, 1] of pictures with labels above the columns and beside the rows.

    Pictures below MIN_PANEL pixels are enlarged by a whole factor without smoothing, larger ones stay as
    they are; a text that does not fit its place is broken into lines, then set smaller.

    Raises:
        ValueError: labels or captions do not match the pictures, or there is no picture at all.
        ImportError: Pillow or matplotlib (for its font) is missing, with the pip line.
    """
    n_rows, n_columns = len(images), len(columns)
    if n_rows == 0 or len(rows) != n_rows or any(len(row) != n_columns for row in images):
        raise ValueError(
            f"labelled_grid needs one label per row and column, got {len(rows)} and {n_columns} for rows of "
            f"{[len(row) for row in images]} pictures."
        )
    if captions is not None and [len(c) for c in captions] != [n_columns] * n_rows:
        raise ValueError(f"labelled_grid needs one caption per picture, got rows of {[len(c) for c in captions]}.")
    panels = [[_panel(image) if isinstance(image, Tensor) else image for image in row] for row in images]
    shapes = [panel.size for row in panels for panel in row if not isinstance(panel, str | None)]
    if not shapes and not any(isinstance(panel, str) for row in panels for panel in row):
        raise ValueError("labelled_grid needs at least one picture.")
    width, height = (max(sides, default=MIN_PANEL) for sides in (list(zip(*shapes, strict=True)) or [(), ()]))
    gap = max(6, width // 24)
    body = n_columns * (width + gap)
    room = round(0.85 * min(width, 256))
    lines = [line for text in (*rows, row_axis) for line in text.split("\n")]
    font = _font(round((body + room) * LABEL_SHARE))
    longest = max(font.getlength(line) for line in lines)
    side = min(room, round(longest) + gap) + gap if longest else 0
    total = side + body + gap
    label, small = round(total * LABEL_SHARE), max(11, round(total * CAPTION_SHARE))
    headers = [Text(text, label, width) for text in columns]
    sides = [Text(text, label, max(1, side - gap), height) for text in rows]
    notes = [[Text(text, small, width) for text in row] for row in captions or [[""] * n_columns] * n_rows]
    heading = Text(title, round(label * 1.1), total - 2 * gap)
    axis, corner = Text(column_axis, label, total - side - 2 * gap), Text(row_axis, label, max(1, side - gap))
    note_heights = [max(note.height for note in row) for row in notes]

    y = gap
    places = []
    for text, x, align in ((heading, total // 2, "center"), (axis, side + (total - side) // 2, "center")):
        if text.lines:
            places.append((text, x, y, align, SOFT_INK if text is axis else INK))
            y += text.height + gap
    header = max([text.height for text in headers] + [corner.height])
    for i, text in enumerate(headers):
        x = side + gap + i * (width + gap) + width // 2
        places.append((text, x, y + header - text.height, "center", INK))
    places.append((corner, side, y + header - corner.height, "right", SOFT_INK))
    y += header + gap

    pil, drawing = require("PIL.Image", "pillow"), require("PIL.ImageDraw", "pillow")
    tops = []
    for i in range(n_rows):
        tops.append(y)
        places.append((sides[i], side, y + (height - sides[i].height) // 2, "right", INK))
        for j, note in enumerate(notes[i]):
            places.append((note, side + gap + j * (width + gap) + width // 2, y + height + 2, "center", SOFT_INK))
        y += height + gap + (note_heights[i] + 2 if note_heights[i] else 0)
    sheet = pil.new("RGB", (total, y), PAPER)
    draw = drawing.Draw(sheet)
    for i, row in enumerate(panels):
        for j, panel in enumerate(row):
            x = side + gap + j * (width + gap)
            if isinstance(panel, str | None):
                draw.rectangle((x, tops[i], x + width - 1, tops[i] + height - 1), fill=EMPTY)
                words = Text(panel or "", label, width - gap, height - gap)
                words.draw(draw, x + width // 2, tops[i] + (height - words.height) // 2, "center", INK)
            else:
                sheet.paste(panel, (x + (width - panel.width) // 2, tops[i] + (height - panel.height) // 2))
    for text, x, top, align, colour in places:
        text.draw(draw, x, top, align, colour)
    return torch.from_numpy(np.asarray(sheet).copy()).permute(2, 0, 1).float() / 255


def stacked(*sheets: Tensor) -> Tensor:
    """Sheets [3, h, w] under each other on white, centred."""
    width = max(sheet.shape[2] for sheet in sheets)
    wide = []
    for sheet in sheets:
        left = (width - sheet.shape[2]) // 2
        wide.append(F.pad(sheet, (left, width - sheet.shape[2] - left), value=1.0))
    return torch.cat(wide, dim=1)


class Text:
    """A text broken and shrunk to a width (and a height), ready to draw."""

    def __init__(self, text: str, size: int, width: int, height: int | None = None) -> None:
        self.lines: list[str] = []
        self.size = size
        while text:
            font = _font(self.size)
            self.lines = _broken(text, font, width)
            widest = max(font.getlength(line) for line in self.lines)
            if widest <= width and (height is None or self.height <= height):
                break
            if self.size <= SMALLEST:
                self._cut(width, height)
                break
            self.size -= 1

    def _cut(self, width: int, height: int | None) -> None:
        """Drop lines that do not fit at the smallest size."""
        room = len(self.lines) if height is None else max(1, height // self.line_height)
        if len(self.lines) > room:
            self.lines = [*self.lines[: room - 1], self.lines[room - 1] + " ..."]
        font = _font(self.size)
        for i, line in enumerate(self.lines):
            while font.getlength(line) > width:
                line = line[:-1]
            self.lines[i] = line

    @property
    def line_height(self) -> int:
        return round(self.size * 1.2)

    @property
    def height(self) -> int:
        return len(self.lines) * self.line_height

    def draw(self, draw, x: int, top: int, align: str, colour: str) -> None:
        """At `x` as the middle ("center") or the right end ("right") of each line."""
        anchor = {"center": "ma", "right": "ra"}[align]
        for i, line in enumerate(self.lines):
            draw.text((x, top + i * self.line_height), line, font=_font(self.size), fill=colour, anchor=anchor)


def _broken(text: str, font, width: int) -> list[str]:
    """Lines at the text's own breaks, then at spaces."""
    lines = []
    for part in text.split("\n"):
        line = ""
        for word in part.split(" "):
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines


def _panel(image: Tensor):
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"labelled_grid needs pictures [3, H, W], got {list(image.shape)}.")
    pil = require("PIL.Image", "pillow")
    panel = pil.fromarray(to_uint8(image))
    factor = max(1, -(-MIN_PANEL // panel.height))
    return panel.resize((panel.width * factor, panel.height * factor), pil.Resampling.NEAREST)


@lru_cache(maxsize=64)
def _font(size: int):
    """matplotlib's own font, which comes with matplotlib and has Greek letters."""
    path = Path(require("matplotlib").get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return require("PIL.ImageFont", "pillow").truetype(str(path), size)
