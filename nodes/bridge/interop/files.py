"""ComfyUI's FILE_3D: a 3D file on its way between nodes, in a folder or in memory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 30  # of a file that is read


def bytes_of(file: Any) -> tuple[bytes, str]:
    """The contents of a FILE_3D, and a name for messages. Raises ValueError for one that is too large."""
    data = file.get_bytes()
    if len(data) > MAX_BYTES:
        raise ValueError(f"The 3D file has {len(data) >> 20} MB; at most {MAX_BYTES >> 20} MB are read.")
    return data, f"The 3D file ({file.format or 'without an ending'})"


@contextmanager
def path_of(file: Any) -> Iterator[Path]:
    """The path of a FILE_3D, with its companions beside it; a file in memory gets a temporary folder of its own."""
    if file.is_disk_backed:
        yield Path(file.get_source())
        return
    data, _ = bytes_of(file)
    ending = re.sub(r"\W", "", file.format)[:10].lower()  # a name, whatever a node wrote
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file_3d.{ending}"
        path.write_bytes(data)
        yield path
