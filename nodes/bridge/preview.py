"""What an optimizer node shows when it is done: the result and the curves of the run."""

from __future__ import annotations

import torch
from comfy_api.latest import ui

from ...tbsd_core.optional import require
from ...tbsd_core.plots import plot_curves
from .run import RunResult


def check_packages() -> None:
    """Raise ImportError before a long run rather than after it."""
    require("matplotlib")


def run_ui(result: RunResult, node: type) -> dict:
    """The pictures side by side, then the curves, as the `ui` of a node."""
    strip = torch.cat(list(result.images), dim=1)[None]
    curves = torch.from_numpy(plot_curves(result.curves, "curves of this run"))[None].float() / 255
    shown = [ui.PreviewImage(image, cls=node).as_dict()["images"] for image in (strip, curves)]
    return {"images": [file for files in shown for file in files]}
