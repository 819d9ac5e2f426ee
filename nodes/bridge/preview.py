"""The final picture of an Optimize node: the result above the curves of the run, as one picture."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.latest import ui
from PIL import Image
from torch import Tensor

from ...tbsd_core.media import to_uint8
from ...tbsd_core.optional import require
from ...tbsd_core.plots import plot_curves
from .run import RunResult

WIDTH, RESULT_HEIGHT = 1200, 400  # pixels


def check_packages() -> None:
    """Raise ImportError before a long run rather than after it."""
    require("matplotlib")


def run_ui(result: RunResult, node: type) -> dict:
    """The `ui` of an Optimize node."""
    curves = plot_curves(result.curves, "curves of this run", size=(WIDTH, 640))
    sheet = np.concatenate([result_strip(result.images), curves])
    return ui.PreviewImage(torch.from_numpy(sheet)[None].float() / 255, cls=node).as_dict()


def result_strip(images: Tensor) -> np.ndarray:
    """IMAGE [B, H, W, 3] side by side, enlarged to WIDTH on white, as uint8 [h, WIDTH, 3]."""
    strip = Image.fromarray(to_uint8(torch.cat(list(images), dim=1).movedim(-1, 0)))
    scale = min(WIDTH / strip.width, RESULT_HEIGHT / strip.height)
    strip = strip.resize((round(strip.width * scale), round(strip.height * scale)), Image.Resampling.BICUBIC)
    sheet = Image.new("RGB", (WIDTH, strip.height), "white")
    sheet.paste(strip, ((WIDTH - strip.width) // 2, 0))
    return np.asarray(sheet)
