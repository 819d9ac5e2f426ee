"""The pictures of a job: kept as a strip, shown as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..experiment.results import VIEWS
from ..optional import require

PICTURES = ("image.png", VIEWS)  # of runs; elsewhere the first picture that there is


def montage(images: Tensor) -> Tensor:
    """One picture [3, h, w] of images [V, 3, H, W]: the only one, or four in a square, spread over all of them."""
    if len(images) == 1:
        return images[0]
    chosen = images[[i * len(images) // 4 for i in range(4)]]
    return torch.cat([torch.cat([chosen[0], chosen[1]], -1), torch.cat([chosen[2], chosen[3]], -1)], -2)


def read_views(path: Path) -> Tensor:
    """Images [V, 3, H, W] of a strip of square views, as runs keep them; any other picture is one."""
    strip = torch.from_numpy(np.asarray(require("PIL.Image", "pillow").open(path).convert("RGB")).copy())
    height = strip.shape[0]
    views = strip.permute(2, 0, 1).float().div(255)
    is_strip = path.name in PICTURES and strip.shape[1] % height == 0
    return torch.stack(list(views.split(height, -1))) if is_strip else views[None]


def picture(folder: Path) -> Path | None:
    """The file that shows a finished job."""
    known = [folder / name for name in PICTURES]
    return next((path for path in (*known, *sorted(folder.glob("*.png"))) if path.is_file()), None)
