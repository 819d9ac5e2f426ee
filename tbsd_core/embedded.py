"""Texts for other programs inside a file, such as the workflow that ComfyUI opens when the file is dropped on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

logger = logging.getLogger(__name__)

EMBEDDED = ("workflow", "prompt")  # what ComfyUI looks for, in this order


def fitting(texts: Mapping[str, str], room: int, name: str) -> dict[str, str]:
    """Those of the texts, in the order of EMBEDDED, that take at most `room` bytes together as JSON.

    What is left out is logged: a workflow can carry pictures, and no file is refused for it.
    """
    kept: dict[str, str] = {}
    for key in (k for k in EMBEDDED if k in texts):
        size = len(json.dumps(texts[key]))
        if size <= room:
            kept[key], room = texts[key], room - size
        else:
            logger.warning("%s is written without its %s: that takes %d bytes, of %d.", name, key, size, room)
    return kept
