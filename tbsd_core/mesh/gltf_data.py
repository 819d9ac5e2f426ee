"""The bytes behind the description of a GLB: arrays, pictures, and the pieces that they lie in.

In all functions `data` is the file, and `end` the place in it where the description ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .gltf_needs import Refused
from .look import ERRORS
from .rig import body_of, decoded

KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SPARSE = "has sparse accessors, which are not read. Export it without them."
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def array_of(tree: dict, data: bytes, end: int, index: int) -> np.ndarray:
    """An accessor [N, width] as the file stores it, without a copy.

    Raises:
        Refused: sparse.
        ValueError, KeyError, IndexError, TypeError: it is damaged, or not all in the file.
    """
    accessor = tree["accessors"][index]
    if "sparse" in accessor:
        raise Refused(SPARSE)
    kind, width = np.dtype(KINDS[accessor["componentType"]]), WIDTHS[accessor["type"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    start, offset = view.get("byteOffset", 0), accessor.get("byteOffset", 0)
    stride = view.get("byteStride", kind.itemsize * width)
    if min(start, offset, view["byteLength"]) < 0 or stride < kind.itemsize * width:
        raise ValueError(f"accessor {index} has its numbers outside the file")
    body = memoryview(body_of(tree["buffers"][view["buffer"]], data, end))[start : start + view["byteLength"]]
    return np.ndarray((accessor["count"], width), kind, body, offset, (stride, kind.itemsize))


def numbers_of(tree: dict, data: bytes, end: int, index: int) -> np.ndarray:
    """An accessor [N, width] as float64; normalised integers are fractions of their largest value."""
    values = array_of(tree, data, end, index)
    if not tree["accessors"][index].get("normalized") or values.dtype.kind == "f":
        return values.astype(np.float64)
    return np.maximum(values / np.iinfo(values.dtype).max, -1.0)


def joined_views(views: Sequence[dict]) -> tuple[list[dict], list[tuple[int, int]]]:
    """Overlapping pieces as one, so that no byte is copied twice: an exporter may write one piece per attribute of an
    interleaved list, and a bomb thousands of them.

    Returns:
        The pieces; for each old one the number of the piece that it is in, and how far into it it begins. Pieces of
        different strides stay apart.
    """

    def place(number: int) -> tuple[int, int, int]:
        view = views[number]
        return view["buffer"], view.get("byteStride", 0), view.get("byteOffset", 0)

    made: list[dict] = []
    where: dict[int, tuple[int, int]] = {}
    before: tuple[int, int, int] | None = None
    for number in sorted(range(len(views)), key=place):
        (*kind, start), length = place(number), views[number]["byteLength"]
        if min(start, length) < 0:
            raise ValueError(f"a piece of its data is {length} bytes at {start}")
        if before is None or kind != [*before[:2]] or start >= before[2]:
            stride = {"byteStride": kind[1]} if "byteStride" in views[number] else {}
            made.append({"buffer": kind[0], "byteOffset": start, "byteLength": 0, **stride})
        last = made[-1]
        last["byteLength"] = max(last["byteLength"], start + length - last["byteOffset"])
        before = (kind[0], kind[1], last["byteOffset"] + last["byteLength"])
        where[number] = len(made) - 1, start - last["byteOffset"]
    return made, [where[number] for number in range(len(views))]


def pictures_of(tree: dict, data: bytes, end: int) -> dict[int, bytes]:
    """The packed pictures by their numbers, without those that are not there. Each place is copied once."""
    found: dict[int, bytes] = {}
    copied: dict[Any, bytes] = {}
    n_bytes = 0
    for index, image in enumerate(tree.get("images", [])):
        try:
            place = image["uri"] if "uri" in image else _place(tree, image)
            if place not in copied:
                copied[place] = picture_of(tree, data, end, index)
                n_bytes += len(copied[place])
        except ERRORS:
            continue
        if n_bytes > 2 * len(data):  # they overlap
            break
        found[index] = copied[place]
    return found


def picture_of(tree: dict, data: bytes, end: int, index: int) -> bytes:
    """One packed picture. Raises one of ERRORS if it is not there."""
    image = tree["images"][index]
    if "uri" in image:
        return decoded(image["uri"])
    buffer, start, length = _place(tree, image)
    return bytes(body_of(tree["buffers"][buffer], data, end)[start : start + length])


def _place(tree: dict, image: dict) -> tuple[int, int, int]:
    view = tree["bufferViews"][image["bufferView"]]
    return view["buffer"], view.get("byteOffset", 0), view["byteLength"]
