"""The curves of a run as one picture."""

from __future__ import annotations

import numpy as np

from .optim.records import Curves
from .optional import require

# curves to compare share a panel; everything else that a method reports has a panel of its own
PANELS: dict[str, tuple[str, ...]] = {
    "balance": ("lambda_shape", "lambda_texture"),
    "agreement of the directions": ("cosine",),
    "length of the directions": ("norm_shape", "norm_texture"),
    "gradient RMS": ("grad_rms",),
    "opacity": ("opacity",),
}


def plot_curves(curves: Curves, title: str, size: tuple[int, int] = (1200, 640)) -> np.ndarray:
    """Draw all curves as an image [H, W, 3] of uint8.

    Args:
        size: width and height in pixels.

    Raises:
        ImportError: matplotlib is missing, with the pip line.
    """
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = {k: np.asarray(v, dtype=float) for k, v in curves.series.items()}
    panels = {name: [k for k in keys if k in series] for name, keys in PANELS.items()}
    panels = {name: keys for name, keys in panels.items() if keys}
    shown = {k for keys in panels.values() for k in keys}
    panels |= {name.replace("_", " "): [name] for name in series if name not in shown}
    columns = min(3, max(1, len(panels)))
    rows = -(-max(1, len(panels)) // columns)
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)  # a prompt may have dollars
    for index, (name, keys) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        for key in keys:
            values = series[key]
            (line,) = axes.plot(curves.steps[: len(values)], values, alpha=0.25, linewidth=0.8)
            axes.plot(
                curves.steps[: len(values)], smoothed(values), color=line.get_color(), label=key.replace("_", " ")
            )
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if len(keys) > 1:
            axes.legend(fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def smoothed(values: np.ndarray, share: float = 0.04) -> np.ndarray:
    """Moving average over a share of the run that skips missing values."""
    window = max(1, int(len(values) * share))
    known = np.isfinite(values)
    kernel = np.ones(window)
    total = np.convolve(np.where(known, values, 0.0), kernel, mode="same")
    count = np.convolve(known.astype(float), kernel, mode="same")
    return np.where(known, total / np.maximum(count, 1), np.nan)
