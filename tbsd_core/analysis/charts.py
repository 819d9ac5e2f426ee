"""Charts drawn with matplotlib, legible at a width of 256 pixels. No global state changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..optional import require

DPI = 100
COLOURS = ("#3461c1", "#d9652b", "#2a9d6f", "#9a4fb5", "#b8962e", "#c23b5a")
INK, GRID = "#1d2433", "#d9dde6"


def new_figure(width: int, height: int):
    """A matplotlib figure of this size in pixels, made without pyplot."""
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def points(pixels: float) -> float:
    """The font size in points for a letter height in pixels."""
    return pixels * 72 / DPI


def drawn(figure) -> Tensor:
    """A figure as a picture [3, H, W] in [0, 1]."""
    figure.canvas.draw()
    array = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    return torch.from_numpy(array).permute(2, 0, 1).float() / 255


def plain_axes(axes, size: float) -> None:
    """Light grid, no frame at the top and right, tick labels of that many points."""
    axes.grid(color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=size, colors=INK, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)


def metric_charts(
    values: Sequence[str],  # along the horizontal axis, as they are written
    series: Mapping[str, Sequence[float]],  # one chart each, by its title
    axis: str,  # the name of the values
    width: int = 1000,  # pixels
) -> Tensor:
    """Small charts [3, H, W], two per row: each measure over the values, numbers at their true distance."""
    from matplotlib.ticker import MaxNLocator

    numeric = _numbers(values)
    x = numeric or list(range(len(values)))
    columns = min(2, max(1, len(series)))
    rows = math.ceil(len(series) / columns) if series else 1
    size = points(width / 32)
    figure = new_figure(width, round(rows * width * 0.30))
    places = figure.add_gridspec(rows, columns)
    for i, (name, measured) in enumerate(series.items()):
        alone = i == len(series) - 1 and i % columns == 0  # the last one of an odd number takes the whole row
        axes = figure.add_subplot(places[i // columns, :] if alone else places[i // columns, i % columns])
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(x, measured, color=colour, linewidth=width / 300, marker="o", markersize=width / 110)
        axes.set_title(name, fontsize=size, color=colour, fontweight="bold")
        plain_axes(axes, size * 0.85)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.margins(x=0.06, y=0.15)
        if not numeric or len(x) <= 6:
            axes.set_xticks(x, values)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(4))
        if i >= len(series) - columns:
            axes.set_xlabel(axis, fontsize=size, color=INK)
    return drawn(figure)


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        return [float(v) for v in values]
    except ValueError:
        return None
