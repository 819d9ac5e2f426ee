from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.optim.normalization import (
    CLEAN_SHARE,
    LEAST_SHARE,
    neighbour_moments,
    remembered,
    signal_part,
)

SHAPE = (4, 4, 64, 64)


def smooth(seed: int) -> torch.Tensor:
    """A field whose neighbours have a covariance of half its variance: the mean of two neighbours of a white one."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(*SHAPE[:2], SHAPE[2] + 1, SHAPE[3] + 1, generator=generator)
    return (white[..., 1:, 1:] + white[..., :-1, 1:] + white[..., 1:, :-1] + white[..., :-1, :-1]) / 2


def test_moments_are_those_of_a_known_field():
    square, product = neighbour_moments(smooth(0)).tolist()
    assert square == pytest.approx(1, abs=0.05) and product == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("k", [0.0, 4.0, 10.0])
def test_noise_does_not_change_what_is_left_of_a_gradient(k):
    """RMS times the part is the size of the signal, however much noise there is."""
    generator = torch.Generator().manual_seed(9)
    sums, sizes = None, []
    for seed in range(100):
        noisy = smooth(seed) + k * torch.randn(SHAPE, generator=generator)
        sums = remembered(neighbour_moments(noisy), sums)
        sizes.append(float(noisy.square().mean().sqrt() * signal_part(sums)))
    assert sizes[-1] == pytest.approx(math.sqrt(0.5 / CLEAN_SHARE), rel=0.1)


def test_white_noise_alone_leaves_the_least():
    sums = None
    for seed in range(20):
        sums = remembered(neighbour_moments(torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))), sums)
    assert float(signal_part(sums)) == pytest.approx(math.sqrt(LEAST_SHARE / CLEAN_SHARE))
    assert signal_part(torch.zeros(2)).isfinite()


def test_a_step_that_is_not_finite_is_forgotten():
    sums = remembered(torch.tensor([1.0, 0.5]), None)
    assert torch.equal(remembered(torch.tensor([math.nan, 0.5]), sums), sums)
