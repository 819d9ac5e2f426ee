"""The calls into compiled packages, which run in the child process (see native.tasks)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..optional import require

Progress = Callable[[float], None]


def nearest(
    on_progress: Progress,
    known: np.ndarray,  # [H, W] bool
) -> dict[str, Any]:
    """For every texel of a texture which is the nearest known one: index [H, W] int32, row * W + column."""
    ndimage = require("scipy.ndimage", "scipy")
    row, column = ndimage.distance_transform_edt(~known.astype(bool), return_distances=False, return_indices=True)
    row *= known.shape[1]
    row += column
    return {"index": row}
