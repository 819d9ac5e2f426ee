"""The elements of a PLY file, text or binary: columns of numbers, and lists whose lengths may vary."""

from __future__ import annotations

import re
import struct
from array import array
from dataclasses import dataclass, field

import numpy as np

TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
    **{"int64": "i8", "uint64": "u8", "float16": "f2"},
}
CODES = dict(zip(("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"), "bBhHiIqQefd", strict=True))
END = re.compile(rb"[\r\n]end_header[ \t]*(\r?\n|\r)")


@dataclass(frozen=True)
class Property:
    """A number of each row, or a list of numbers."""

    name: str
    kind: np.dtype
    count: np.dtype | None = None  # of a list's length


@dataclass(frozen=True)
class Element:
    name: str
    n_rows: int
    properties: list[Property] = field(default_factory=list)


@dataclass(frozen=True)
class Lists:
    """The lists of all rows, one after the other."""

    values: np.ndarray  # [C]
    counts: np.ndarray  # [n]


Columns = dict[str, "np.ndarray | Lists"]


@dataclass(frozen=True)
class Header:
    is_text: bool
    elements: list[Element]
    pictures: list[bytes]  # of TextureFile
    size: int  # bytes


def header_of(data: bytes, most: int) -> Header:
    """The header, within the first bytes of a file.

    Raises:
        ValueError: it is damaged.
    """
    end = END.search(data, 0, most)
    if end is None:
        raise ValueError(f"no 'end_header' in its first {most >> 20} MB")
    elements: list[Element] = []
    pictures: list[bytes] = []
    kind = ""
    for line in re.split(rb"[\r\n]+", data[: end.start()]):
        words = line.decode("latin-1").split()
        first = words[0] if words else ""
        try:
            if first == "format":
                kind = words[1].lower()
            elif first == "element":
                elements.append(Element(words[1], int(words[2])))
            elif first == "property":
                is_list, order = words[1] == "list", ">" if "big" in kind else "<"
                types = [np.dtype(TYPES[word]).newbyteorder(order) for word in words[1 + is_list : -1]]
                elements[-1].properties.append(Property(words[-1], types[-1], types[0] if is_list else None))
            elif first == "comment" and len(words) > 2 and words[1].lower() == "texturefile":
                pictures.append(re.split(rb"(?i)texturefile[ \t]+", line, maxsplit=1)[1].strip())
        except (IndexError, KeyError, ValueError) as error:
            raise ValueError(f"its header has the line {' '.join(words)!r}, which means nothing") from error
    if not data.startswith(b"ply") or not kind:
        raise ValueError("it does not begin with 'ply' and a format")
    size = end.end()
    if end[1] == b"\r\n" and b"\n" not in data[: end.start()]:  # an old Mac's header, and the body begins with 10
        size -= 1
    return Header("ascii" in kind, elements, pictures, size)


class Rows:
    """The body of a file: bytes, or for a text its numbers, in which every number has a length of one."""

    def __init__(self, data: bytes, header: Header) -> None:
        self.is_text, self.at = header.is_text, 0
        body = memoryview(data)[header.size :]
        if header.is_text:
            try:
                self.source = np.fromstring(bytes(body), dtype=np.float64, sep=" ")
            except ValueError as error:
                raise ValueError("it has something that is not a number") from error
        else:
            self.source = np.frombuffer(body, dtype=np.uint8)
        self._bytes = body

    def columns(self, element: Element) -> Columns:
        """The properties of an element. It moves on to the next one.

        Raises:
            ValueError: the file ends before.
        """
        n, given = element.n_rows, element.properties
        least = sum(self._size(x.count or x.kind) for x in given)
        if n < 0 or self.at + n * least > len(self.source):
            raise ValueError(f"it ends before its {n:,} rows of '{element.name}' do")
        if not n:
            return {x.name: np.zeros(0, dtype=x.kind) for x in given}
        found = self._alike(n, given)
        return self._different(n, given) if found is None else found

    def _size(self, kind: np.dtype) -> int:
        return 1 if self.is_text else kind.itemsize

    def _number(self, at: int, kind: np.dtype) -> int:
        if at + self._size(kind) > len(self.source):
            raise ValueError("it ends inside a list")
        n = float(self.source[at]) if self.is_text else struct.unpack_from(_code(kind), self._bytes, at)[0]
        if not 0 <= n < len(self.source):
            raise ValueError(f"it has a list of {n} numbers")
        return int(n)

    def _as(self, values: np.ndarray, kind: np.dtype) -> np.ndarray:
        """Values [n, length] as a column of this type [n, numbers]."""
        if self.is_text:
            with np.errstate(invalid="ignore"):
                return values if kind.kind == "f" else values.astype(kind.newbyteorder("="))
        return np.ascontiguousarray(values).view(kind).astype(kind.newbyteorder("="), copy=False)

    def _alike(self, n: int, given: list[Property]) -> Columns | None:
        """The columns of rows whose lists are all as long as in the first row; None if they are not."""
        places, width = [], 0
        for own in given:
            n_own = 1
            if own.count is not None:
                try:
                    n_own = self._number(self.at + width, own.count)
                except ValueError:
                    return None
                width += self._size(own.count)
            places.append((width, n_own))
            width += n_own * self._size(own.kind)
        if self.at + n * width > len(self.source):
            return None
        rows = self.source[self.at : self.at + n * width].reshape(n, width)
        found: Columns = {}
        for own, (at, n_own) in zip(given, places, strict=True):
            values = self._as(rows[:, at : at + n_own * self._size(own.kind)], own.kind) if n_own else rows[:, :0]
            if own.count is None:
                found[own.name] = values[:, 0]
                continue
            counts = self._as(rows[:, at - self._size(own.count) : at], own.count)
            if (counts != n_own).any():
                return None
            found[own.name] = Lists(values.reshape(-1), np.full(n, n_own))
        self.at += n * width
        return found

    def _different(self, n: int, given: list[Property]) -> Columns:
        """The columns of rows whose lists vary. Where a row begins follows from the one before it."""
        starts, counts = ([array("q") for _ in given] for _ in range(2))
        steps = [(k, x.count, self._size(x.count) if x.count else 0, self._size(x.kind)) for k, x in enumerate(given)]
        source = self._bytes
        at, end, begin = self.at, len(self.source), self.at
        for _ in range(n):
            for k, kind, size, each in steps:
                n_own = 1
                if kind is not None:
                    is_byte = not self.is_text and kind == np.uint8 and at < end
                    n_own = source[at] if is_byte else self._number(at, kind)
                    counts[k].append(n_own)
                    at += size
                starts[k].append(at)
                at += n_own * each
            if at > end:
                raise ValueError("it ends inside a row")
        self.at = at
        found: Columns = {}
        for k, own in enumerate(given):
            first = np.array(starts[k], dtype=np.int64) - begin
            length = np.array(counts[k], dtype=np.int64) if own.count is not None else np.ones(n, dtype=np.int64)
            # the length of a list is between them, so none of a column begins where the one before it ends
            edges = np.zeros(at - begin + 1, dtype=np.int8)
            has = length > 0
            edges[first[has]] += 1
            edges[(first + length * self._size(own.kind))[has]] -= 1
            chosen = self.source[begin:at][np.cumsum(edges[:-1], dtype=np.int8).astype(bool)]
            values = self._as(chosen.reshape(-1, self._size(own.kind)), own.kind).reshape(-1)
            found[own.name] = values if own.count is None else Lists(values, length)
        return found


def _code(kind: np.dtype) -> str:
    return (">" if kind.str[0] == ">" else "<") + CODES[kind.str[1:]]
