"""Bounded memory of a run."""

from __future__ import annotations

import pytest
from tbsd_pack.tbsd_core.optim.bounded_history import BoundedHistory


@pytest.mark.parametrize("stride", [1, 3, 20])
@pytest.mark.parametrize("n", [1, 59, 60, 61, 5000])
def test_the_kept_items_are_few_and_even(n, stride):
    kept: BoundedHistory[int] = BoundedHistory(60)
    for step in range(0, n * stride, stride):
        kept.add(step, step)
    steps = [step for step, _ in kept.items]
    assert len(steps) <= 60 and steps[0] == 0
    assert len(steps) >= min(n, 20)
    gaps = [b - a for a, b in zip(steps, steps[1:], strict=False)]
    assert not gaps or max(gaps) <= 2 * min(gaps)
    assert (n - 1) * stride - steps[-1] <= 2 * max(gaps, default=1)


def test_bytes_are_bounded():
    kept: BoundedHistory[bytes] = BoundedHistory(1000, 10_000, len)
    for step in range(500):
        kept.add(step, b"x" * 300)
        assert sum(len(item) for _, item in kept.items) <= 10_000
    assert len(kept.items) > 10


def test_an_item_over_the_bound_alone_is_kept():
    kept: BoundedHistory[bytes] = BoundedHistory(4, 10, len)
    kept.add(0, b"x" * 100)
    assert kept.items == [(0, b"x" * 100)]


def test_the_nearest_item_is_found():
    kept: BoundedHistory[str] = BoundedHistory(8)
    assert kept.nearest(3) is None
    for step in (0, 10, 20):
        kept.add(step, str(step))
    assert [kept.nearest(s) for s in (-5, 4, 6, 99)] == [(0, "0"), (0, "0"), (10, "10"), (20, "20")]


def test_a_limit_of_one_is_refused():
    with pytest.raises(ValueError, match="got 1"):
        BoundedHistory(1)
