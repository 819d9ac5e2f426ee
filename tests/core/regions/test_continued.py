"""A free part knows the colours of the locked part beside it."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.regions.continued import CELL, REACH, continued


def line(n: int = 200):
    """Points from -1 to 1 along x, in the middles of cells in y and z."""
    x = torch.linspace(-1, 1, n)
    return torch.stack([x, torch.full_like(x, CELL / 2), torch.full_like(x, CELL / 2)], 1)


def test_between_two_colours_the_nearer_one_counts_more():
    points = line()
    x, free = points[:, 0], points[:, 0].abs() < 0.5
    colors = torch.where(x[:, None] < 0, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]))
    found, nearness = continued(points, free, colors)
    assert torch.equal(found[~free], colors[~free]) and bool((nearness[~free] == 1).all())
    assert bool((found[free].sum(1) - 1).abs().max() < 1e-5)  # weights that sum to one
    assert found[free][0, 0] > 0.95 and found[free][-1, 2] > 0.95
    middle = found[x.abs() < CELL / 2].mean(0)
    assert middle[0] == pytest.approx(0.5, abs=0.05)
    away = 0.5 - x[free].abs()
    least, most = (torch.exp(-(((away + error).clamp(min=0) / REACH) ** 2)) for error in (1.5 * CELL, -1.5 * CELL))
    assert bool(((nearness[free] >= least - 1e-6) & (nearness[free] <= most + 1e-6)).all())


def test_colours_of_free_points_are_not_read():
    points = line()
    free = points[:, 0] > 0
    a, b = torch.full((200, 3), 0.25), torch.full((200, 3), 0.25)
    b[free] = 0.9
    found = [continued(points, free, colors)[0] for colors in (a, b)]
    assert torch.equal(found[0], found[1]) and torch.allclose(found[0], a)


def test_nothing_is_continued_if_all_is_free_or_locked():
    points, colors = line(), torch.rand(200, 3)
    assert continued(points, torch.ones(200, dtype=torch.bool), colors)[1].max() == 0
    found, nearness = continued(points, torch.zeros(200, dtype=torch.bool), colors)
    assert torch.equal(found, colors) and nearness.min() == 1
