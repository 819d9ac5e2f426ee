"""Pictures of 16 bits as pictures of 8. Without torch: a process that reads meshes does not load it."""

from __future__ import annotations

import numpy as np

from .optional import require


def eight_bits(picture):
    """A Pillow picture whose numbers have 8 bits: `convert` clips grey of 16 bits and does not scale it."""
    if not picture.mode.startswith("I"):
        return picture
    numbers = np.asarray(picture).astype(np.float32) / 257
    return require("PIL.Image", "pillow").fromarray(numbers.round().clip(0, 255).astype(np.uint8))
