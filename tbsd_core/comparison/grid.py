"""All cells as one picture: prompts and seeds as rows, methods as columns, labels that a thumbnail still shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..media import to_uint8
from ..optional import require

CELL = 256  # pixels of a cell
MARGIN = 8
LABEL, SMALL = 34, 16  # pixels of text: a grid of four columns is read at a third of its width
ROW_WIDTH = 240  # pixels of the column with the rows' names
INK, PAPER, PALE, BAD = (20, 20, 24), (255, 255, 255), (240, 240, 243), (160, 20, 20)


@dataclass(frozen=True)
class Tile:
    """What stands in one cell: a picture, or words where there is none."""

    picture: np.ndarray | None = None  # uint8 [h, w, 3]
    text: str = ""  # why there is no picture
    failed: bool = False


def montage(images: Tensor) -> Tensor:
    """One picture [3, h, w] of images [V, 3, H, W]: the only one, or four in a square, spread over all of them."""
    if len(images) == 1:
        return images[0]
    chosen = images[[round(i * len(images) / 4) % len(images) for i in range(4)]]
    return torch.cat([torch.cat([chosen[0], chosen[1]], -1), torch.cat([chosen[2], chosen[3]], -1)], -2)


def to_array(images: Tensor) -> np.ndarray:
    """The montage of images [V, 3, H, W] in [0, 1] as uint8 [h, w, 3]."""
    return to_uint8(montage(images))


def read_views(path: Path) -> Tensor:
    """Images [V, 3, H, W] of a strip of square views, as cells keep them."""
    strip = torch.from_numpy(np.asarray(require("PIL.Image", "pillow").open(path).convert("RGB")).copy())
    height = strip.shape[0]
    return torch.stack(list(strip.permute(2, 0, 1).float().div(255).split(height, -1)))


def draw_grid(
    columns: Sequence[str],
    rows: Sequence[str],  # with line breaks where they should be
    tiles: Mapping[tuple[int, int], Tile],  # by row and column; what is missing stays empty
) -> np.ndarray:
    """The grid as an image [H, W, 3] of uint8.

    Raises:
        ImportError: pillow or matplotlib (for its font) is missing, with the pip line.
    """
    pil, draw_module = require("PIL.Image", "pillow"), require("PIL.ImageDraw", "pillow")
    head = LABEL * 2 + 2 * MARGIN
    width = ROW_WIDTH + len(columns) * (CELL + MARGIN) + MARGIN
    height = head + len(rows) * (CELL + MARGIN) + MARGIN
    sheet = pil.new("RGB", (width, height), PAPER)
    draw = draw_module.Draw(sheet)

    def left(column: int) -> int:
        return ROW_WIDTH + MARGIN + column * (CELL + MARGIN)

    for c, label in enumerate(columns):
        _write(draw, label, (left(c), 0, CELL, head), LABEL, INK, centred=True)
    for r, name in enumerate(rows):
        top = head + r * (CELL + MARGIN)
        _write(draw, name, (MARGIN, top, ROW_WIDTH - MARGIN, CELL), LABEL, INK)
        for c in range(len(columns)):
            tile, box = tiles.get((r, c), Tile(text="not run")), (left(c), top, CELL, CELL)
            if tile.picture is not None:
                picture = pil.fromarray(tile.picture)
                scale = CELL / max(picture.size)
                size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
                kind = pil.Resampling.BICUBIC if scale > 1 else pil.Resampling.LANCZOS
                place = (box[0] + (CELL - size[0]) // 2, box[1] + (CELL - size[1]) // 2)
                sheet.paste(picture.resize(size, kind), place)
                continue
            draw.rectangle((box[0], box[1], box[0] + CELL - 1, box[1] + CELL - 1), fill=PALE)
            if tile.failed:
                _write(draw, "failed", (box[0], box[1], CELL, LABEL + 2 * MARGIN), LABEL, BAD, centred=True)
                inner = (box[0] + MARGIN, box[1] + LABEL + 2 * MARGIN, CELL - 2 * MARGIN, CELL - LABEL - 3 * MARGIN)
                _write(draw, tile.text, inner, SMALL, INK)
            else:
                _write(draw, tile.text, box, LABEL, INK, centred=True)
    return np.asarray(sheet)


def _write(draw: Any, text: str, box: tuple[int, int, int, int], size: int, ink: tuple, centred: bool = False) -> None:
    """Text inside a box (left, top, width, height), broken into lines, smaller where it would not fit, else cut."""
    left, top, width, height = box
    for pixels in range(size, SMALL - 1, -2):
        font = _font(pixels)
        lines = _wrapped(draw, text, font, width)
        if len(lines) * pixels * 1.2 <= height and all(draw.textlength(line, font=font) <= width for line in lines):
            break
    else:
        pixels, font = SMALL, _font(SMALL)
        lines = [_cut(draw, line, font, width) for line in _wrapped(draw, text, font, width)]
        room = max(1, int(height / (SMALL * 1.2)))
        lines = lines if len(lines) <= room else [*lines[: room - 1], lines[room - 1] + "..."]
    step = pixels * 1.2
    y = top + (height - step * len(lines)) / 2 if centred else top
    for line in lines:
        x = left + (width - draw.textlength(line, font=font)) / 2 if centred else left
        draw.text((x, y), line, fill=ink, font=font)
        y += step


def _wrapped(draw: Any, text: str, font: Any, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and draw.textlength(longer, font=font) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def _cut(draw: Any, line: str, font: Any, width: int) -> str:
    while line and draw.textlength(line, font=font) > width:
        line = line[:-1]
    return line


def _font(pixels: int) -> Any:
    """DejaVu Sans, which matplotlib brings along: the same letters on every system."""
    path = Path(require("matplotlib").get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return require("PIL.ImageFont", "pillow").truetype(str(path), pixels)
