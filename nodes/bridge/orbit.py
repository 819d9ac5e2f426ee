"""The frames of a turn as one small picture, for the browser to turn by dragging (web/js/orbit_view.js)."""

from __future__ import annotations

import math
import secrets
from pathlib import Path

import folder_paths
from PIL import Image
from torch import Tensor

from ...tbsd_core.media import to_uint8

MAX_FRAMES = 48
FRAME_PIXELS = 256  # of a frame, at most


def orbit_ui(images: Tensor) -> dict:
    """The `ui` of a turn. Images [B, H, W, 3] in [0, 1], evenly spaced from the front.

    From more than MAX_FRAMES it takes so many, as evenly as they allow.
    """
    n = min(len(images), MAX_FRAMES)
    frames = images[[round(i * len(images) / n) for i in range(n)]]
    columns = math.ceil(math.sqrt(len(frames)))
    side = min(FRAME_PIXELS, frames.shape[1])
    sheet = Image.new("RGB", (columns * side, math.ceil(len(frames) / columns) * side))
    for i, frame in enumerate(frames):
        picture = Image.fromarray(to_uint8(frame.movedim(-1, 0))).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(picture, (i % columns * side, i // columns * side))
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    name = f"tbsd_orbit_{secrets.token_hex(8)}.jpg"
    sheet.save(folder / name, quality=85)
    return {
        "tbsd_orbit": [{"filename": name, "subfolder": "", "type": "temp", "columns": columns, "frames": len(frames)}]
    }
