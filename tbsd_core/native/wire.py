"""Messages between the two processes: a header in JSON, then the bytes of its arrays. Nothing in them is executed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from io import RawIOBase
from typing import Any

import numpy as np

CHUNK = 1 << 20  # bytes per system call; other threads run during each
KINDS = "biuf"  # of arrays: numbers and truth values


def write_message(pipe: RawIOBase, values: Mapping[str, Any]) -> None:
    """Send numbers, strings, None, arrays, and lists and dicts of them.

    Raises:
        TypeError: a value of another kind.
    """
    arrays: list[np.ndarray] = []
    content = _packed(dict(values), arrays)
    kinds = [[array.dtype.str, list(array.shape)] for array in arrays]
    header = json.dumps({"content": content, "arrays": kinds}).encode()
    _write_all(pipe, struct.pack("<Q", len(header)) + header)
    for array in arrays:
        if array.size:
            _write_all(pipe, array.reshape(-1).view(np.uint8).data)


def read_message(pipe: RawIOBase) -> dict[str, Any]:
    """The next message.

    Raises:
        EOFError: the other side has closed the pipe, perhaps within a message.
    """
    length = bytearray(8)
    _read_all(pipe, length)
    header = bytearray(struct.unpack("<Q", length)[0])
    _read_all(pipe, header)
    head = json.loads(header)
    arrays = [np.empty(shape, dtype=np.dtype(kind)) for kind, shape in head["arrays"]]
    for array in arrays:
        if array.size:
            _read_all(pipe, array.reshape(-1).view(np.uint8).data)
    return _unpacked(head["content"], arrays)


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in KINDS:
            raise TypeError(f"Only arrays of numbers can be sent, got dtype {value.dtype}.")
        arrays.append(np.asarray(value, order="C"))
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {"dict": {key: _packed(v, arrays) for key, v in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_packed(v, arrays) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"Only numbers, strings, arrays, lists and dicts can be sent, got {type(value).__name__}.")


def _unpacked(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(v, arrays) for v in value]
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        return {key: _unpacked(v, arrays) for key, v in value["dict"].items()}
    return value


def _write_all(pipe: RawIOBase, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):
        view = view[pipe.write(view[:CHUNK]) or 0 :]


def _read_all(pipe: RawIOBase, room: bytearray | memoryview) -> None:
    view = memoryview(room)
    while len(view):
        n = pipe.readinto(view[:CHUNK])
        if not n:
            raise EOFError("the other process has closed the pipe")
        view = view[n:]
