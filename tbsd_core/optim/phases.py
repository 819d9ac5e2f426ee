"""The time of the parts of a step, by the clock of the device that computes them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property

import torch

from ..transfer import is_asynchronous, record_event


class Stopwatch:
    """Marks the ends of phases. On an asynchronous device the marks are events among its work, so that the time of the
    prior does not show up where the host first waits."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._marks = device, []
        self._names: list[str] = []
        self._mark()

    def mark(self, phase: str) -> None:
        """`phase` has lasted since the mark before; a phase may have several parts."""
        self._names.append(phase)
        self._mark()

    def _mark(self) -> None:
        is_late = is_asynchronous(self._device)
        self._marks.append(record_event(self._device, timing=True) if is_late else time.perf_counter())

    @property
    def seconds(self) -> Mapping[str, float]:
        """By phase; reading one waits for the last mark."""
        return _Seconds(tuple(self._names), tuple(self._marks))


class _Seconds(Mapping[str, float]):
    def __init__(self, names: tuple[str, ...], marks: tuple) -> None:
        self._names, self._marks = names, marks

    @cached_property
    def _read(self) -> dict[str, float]:
        found = dict.fromkeys(self._names, 0.0)
        if not isinstance(self._marks[-1], float):
            self._marks[-1].synchronize()
        for name, start, end in zip(self._names, self._marks, self._marks[1:], strict=False):
            found[name] += end - start if isinstance(start, float) else start.elapsed_time(end) / 1e3
        return found

    def __getitem__(self, name: str) -> float:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._names))

    def __len__(self) -> int:
        return len(set(self._names))
