"""ComfyUI's FILE_3D: a 3D file on its way between nodes, in a folder or in memory."""

from __future__ import annotations

from typing import Any

MAX_BYTES = 1 << 30  # of a file that is read


def bytes_of(file: Any) -> tuple[bytes, str]:
    """What a FILE_3D holds, and a name for messages. Raises ValueError for one that is too large."""
    data = file.get_bytes()
    if len(data) > MAX_BYTES:
        raise ValueError(f"The 3D file has {len(data) >> 20} MB; at most {MAX_BYTES >> 20} MB are read.")
    return data, f"The 3D file ({file.format or 'without an ending'})"
