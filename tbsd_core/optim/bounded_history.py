"""A history of a run of unknown length: a bounded number of items, spread evenly over its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedHistory(Generic[T]):
    """At most `limit` items, evenly spread: when there are more, every second one goes and the interval doubles.

    Args:
        limit: greatest number of items, 2 or more.
        max_bytes: greatest sum of their sizes; None for no bound. A single item may exceed it.
        size: bytes of an item.

    Raises:
        ValueError: a limit below 2.
    """

    def __init__(self, limit: int, max_bytes: int | None = None, size: Callable[[T], int] = lambda _: 0) -> None:
        if limit < 2:
            raise ValueError(f"limit must be 2 or more, got {limit}.")
        self.limit, self.max_bytes, self.size = limit, max_bytes, size
        self.interval = 1
        self.items: list[tuple[int, T]] = []  # ascending steps

    def add(self, step: int, item: T) -> bool:
        """Keep the item unless its step is closer to the last kept one than the interval. Steps ascend."""
        if self.items and step - self.items[-1][0] < self.interval:
            return False
        self.items.append((step, item))
        while len(self.items) > 1 and self._is_full():
            self.items = self.items[::2]
            # items may come further apart than the interval, and the distance between them is what doubles
            apart = (self.items[-1][0] - self.items[0][0]) // max(1, len(self.items) - 1)
            self.interval = max(2 * self.interval, apart)
        return True

    def _is_full(self) -> bool:
        too_large = self.max_bytes is not None and sum(self.size(item) for _, item in self.items) > self.max_bytes
        return len(self.items) > self.limit or too_large

    def nearest(self, step: int) -> tuple[int, T] | None:
        """The kept item whose step is closest."""
        return min(self.items, key=lambda kept: abs(kept[0] - step), default=None)
