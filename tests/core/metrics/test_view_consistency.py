from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.metrics import view_consistency, view_repetition
from tbsd_pack.tbsd_core.metrics.view_consistency import consistency_of
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth

N, ELEVATION = 12, 20.0


@pytest.fixture(scope="module")
def house() -> torch.Tensor:
    return render_truth("house", "brick", orbit(N, ELEVATION), 32).images


def consistency(images: torch.Tensor) -> float:
    return view_consistency(images, "house", "brick", ELEVATION, 3.0, 36.0)


def test_the_true_object_is_consistent_however_it_stands_and_however_wrong_its_colours(house):
    assert consistency(house) == pytest.approx(1, abs=1e-4)
    assert consistency(house.roll(5, 0)) == pytest.approx(1, abs=1e-4)
    assert consistency(0.7 * house) > 0.85
    noisy = house + 0.1 * torch.randn(house.shape, generator=torch.Generator().manual_seed(0))
    assert consistency(noisy) > 0.97


def test_one_side_all_around_is_not_and_two_faces_lie_between(house):
    """The synthetic Janus: the front from everywhere; then front to back on both halves."""
    janus = house[:1].expand(N, -1, -1, -1)
    halves = house[[0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1]]
    assert consistency(janus) == pytest.approx(0, abs=1e-3)
    assert 0.05 < consistency(halves) < 0.95
    assert view_repetition(janus) == pytest.approx(1, abs=1e-4)
    assert view_repetition(house) < 0.9


def test_distances_by_hand():
    """Four views; a ring of distances 0, 1, 4, 1: a one-faced object costs their mean, 1.5."""
    ring = torch.tensor([0.0, 1.0, 4.0, 1.0])
    true = torch.stack([ring.roll(k) for k in range(4)])
    assert consistency_of(true) == 1
    assert consistency_of(ring.expand(4, 4)) == 0
    # sides 0, 1, 1, 0: without a turn the last two cost 1 each, so 0.5 in the mean
    assert consistency_of(true[[0, 1, 1, 0]]) == pytest.approx(1 - 0.5 / 1.5)
    assert math.isnan(consistency_of(torch.full((4, 4), 0.3)))


def test_correlation_by_hand():
    """Views in pairs of opposite pictures: at 90 degrees -1, at 180 degrees 1; weights 8 and 4 of 12."""
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    views = torch.cat([picture, 1 - picture, picture, 1 - picture])
    assert view_repetition(views) == pytest.approx((8 * -1 + 4 * 1) / 12, abs=1e-4)


def test_too_few_views_are_refused(house):
    with pytest.raises(ValueError, match="at least 4 views"):
        consistency(house[:3])
    with pytest.raises(ValueError, match="at least 4 views"):
        view_repetition(house[:3])
