"""Texts for other programs inside a file, such as the workflow that ComfyUI opens when the file is dropped on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

logger = logging.getLogger(__name__)

EMBEDDED = ("workflow", "prompt")  # what ComfyUI looks for, in this order


def fitting(texts: Mapping[str, str], room: int, name: str) -> dict[str, str]:
    """The texts, in the order of EMBEDDED, that together take at most `room` bytes as JSON.

    Logs each text that it leaves out: a workflow can contain pictures, which must not make a file fail.
    """
    kept: dict[str, str] = {}
    for key in (k for k in EMBEDDED if k in texts):
        size = len(json.dumps(texts[key]))
        if size <= room:
            kept[key], room = texts[key], room - size
        else:
            logger.warning("%s is written without its %s: that takes %d bytes, of %d.", name, key, size, room)
    return kept
