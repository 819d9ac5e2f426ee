"""Lines of numbers in a text, read all at once: OBJ and ASCII STL have millions."""

from __future__ import annotations

import re

import numpy as np

SPACE, NEWLINE = 32, 10
MAX_INDENT = 32  # characters that are skipped without rewriting the text
BOM = b"\xef\xbb\xbf"


def with_newlines(text: bytes) -> bytes:
    """A text without a byte order mark, whose lines end as on Unix."""
    text = text[len(BOM) :] if text.startswith(BOM) else text
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


class Lines:
    """A text by the first words of its lines."""

    def __init__(self, text: bytes) -> None:
        text = with_newlines(text)
        text = text.replace(b"\t", b" ") if b"\t" in text else text
        self._read(text)
        for _ in range(MAX_INDENT):
            is_indented = self._bytes[self._words] == SPACE
            if not is_indented.any():
                break
            self._words += is_indented
        else:
            self._read(re.sub(rb"(?m)^ +", b"", text))

    def _read(self, text: bytes) -> None:
        self._bytes = np.frombuffer(text + b"\n" + b" " * (MAX_INDENT + 16), dtype=np.uint8)  # room for any word
        ends = np.flatnonzero(self._bytes == NEWLINE) + 1
        self._starts = np.concatenate([[0], ends[:-1]])
        self._lengths = ends - self._starts
        self._words = self._starts.copy()

    def of(self, word: bytes) -> np.ndarray:
        """Which lines [L] begin with this word."""
        found = np.ones(len(self._words), dtype=bool)
        for k, letter in enumerate(word):
            found &= self._bytes[self._words + k] == letter
        after = self._bytes[self._words + len(word)]
        return found & ((after == SPACE) | (after == NEWLINE))

    def after(self, word: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The lines that begin with this word, without it: their bytes, and where each begins; and their numbers."""
        which = self.of(word)
        numbers = np.flatnonzero(which)
        text = self._bytes[: int(self._lengths.sum())][np.repeat(which, self._lengths)]
        lengths = self._lengths[numbers]
        firsts = np.cumsum(lengths) - lengths
        begins = firsts + self._words[numbers] - self._starts[numbers]
        for k in range(len(word)):
            text[begins + k] = SPACE
        return text, firsts, numbers

    def table(self, word: bytes, least: int) -> np.ndarray:
        """The numbers [n, columns] float64 of the lines that begin with this word, as many as the shortest has.

        Raises:
            ValueError: a line has fewer than `least`, or anything but numbers.
        """
        text, firsts, _ = self.after(word)
        if not len(firsts):
            return np.zeros((0, least))
        n = np.add.reduceat(word_starts(text), firsts, dtype=np.int64)
        values = numbers_of(text.tobytes(), np.float64, int(n.sum()), word)
        n_columns = int(n.min())
        if n_columns < least:
            raise ValueError(f"a line '{word.decode()}' has {n_columns} numbers, expected {least}")
        if n_columns == n.max():
            return values.reshape(-1, n_columns)
        return values[(np.cumsum(n) - n)[:, None] + np.arange(n_columns)]


def word_starts(text: np.ndarray) -> np.ndarray:
    """Which bytes begin a word."""
    starts = text > SPACE
    starts[1:] &= text[:-1] <= SPACE
    return starts


def numbers_of(text: bytes, kind: type, n: int, word: bytes) -> np.ndarray:
    """All numbers of a text. Raises ValueError if there are not n, or there is anything else."""
    try:
        found = np.fromstring(text, dtype=kind, sep=" ")
    except ValueError:
        found = np.zeros(0, dtype=kind)
    if len(found) != n:
        raise ValueError(f"a line '{word.decode()}' has something that is not a number")
    return found
