"""The triangles of an STL file, binary or text."""

from __future__ import annotations

import struct

import numpy as np

from .corners import Shape
from .lines import BOM, Lines

HEAD, TRIANGLE = 84, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
MAX_SOLIDS = 10_000


def read_stl(data: bytes, name: str, most: int) -> list[Shape]:
    """A shape for each solid that has triangles.

    Some programs begin binary files with "solid" as well, and some add bytes behind them. So the declared number
    decides wherever the file has room for it; in a text it is four letters, and there is none.

    Args:
        name: of the file, for errors.
        most: faces that are read; three times as many may be declared.

    Raises:
        ValueError: it is damaged or too large.
    """
    is_text = data.removeprefix(BOM).lstrip()[:5].lower() == b"solid"
    n = struct.unpack_from("<I", data, 80)[0] if len(data) >= HEAD else 0
    n_there = (len(data) - HEAD) // TRIANGLE.itemsize
    if len(data) >= HEAD and n <= n_there and not (is_text and not n):
        corners = np.frombuffer(data, dtype=TRIANGLE, count=n, offset=HEAD)["corners"].reshape(-1, 3)
        return _solids(corners, [0, n])
    if is_text and b"\0" not in data[:HEAD]:
        return _of_text(data, name)
    if n > 3 * most:
        raise ValueError(f"{name} declares {n} elements; at most {most} faces are read. Simplify it first.")
    raise ValueError(f"{name} is damaged: it declares {n:,} triangles and has {max(n_there, 0):,}. Export it again.")


def _of_text(data: bytes, name: str) -> list[Shape]:
    lines = Lines(data.lower())
    ends = np.flatnonzero(lines.of(b"endsolid"))
    if len(ends) > MAX_SOLIDS:
        raise ValueError(f"{name} has {len(ends):,} solids; at most {MAX_SOLIDS:,} are read. Join them into one.")
    corners = lines.table(b"vertex", 3)[:, :3]
    before = np.searchsorted(np.flatnonzero(lines.of(b"vertex")), ends)
    bounds = [0, *before.tolist(), len(corners)]
    if any(at % 3 for at in bounds):
        raise ValueError(f"{name} is damaged: a triangle does not have three corners. Export it again.")
    return _solids(corners, [at // 3 for at in bounds])


def _solids(corners: np.ndarray, bounds: list[int]) -> list[Shape]:
    """The triangles between each two bounds."""
    parts = [corners[3 * a : 3 * b] for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b > a]
    return [Shape(part, np.arange(len(part)).reshape(-1, 3)) for part in parts]
