from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.balancing.mgda import min_norm_weights, per_sample_dot


def pair(seed: int, correlation: float, ratio: float, batch: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions [batch, 4, 2, 2] with a shared part; `ratio` is the relative length of the second."""
    generator = torch.Generator().manual_seed(seed)
    shared, a, b = torch.randn(3, batch, 4, 2, 2, generator=generator)
    return correlation * shared + a, ratio * (correlation * shared + b)


CASES = [(s, c, r) for s, (c, r) in enumerate([(0, 1), (1, 0.3), (3, 0.3), (1, 5), (-1, 1)])]


@pytest.mark.parametrize(("seed", "correlation", "ratio"), CASES)
def test_weights_agree_with_torchjd(seed, correlation, ratio):
    torchjd = pytest.importorskip("torchjd.aggregation", reason="torchjd is the oracle (dev extra)")
    weighting = torchjd.MGDAWeighting(epsilon=1e-6, max_iters=2000)
    g1, g2 = pair(seed, correlation, ratio, batch=4)
    lam, rest = min_norm_weights(g1, g2)
    for i in range(len(g1)):
        rows = torch.stack([g1[i].flatten(), g2[i].flatten()]).double()
        expected = weighting(rows @ rows.T).float()
        # Frank-Wolfe, the oracle's method, approaches the end points slowly
        torch.testing.assert_close(torch.stack([lam[i], rest[i]]), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("seed", "correlation", "ratio"), CASES)
def test_result_is_the_shortest_of_all_mixtures(seed, correlation, ratio):
    g1, g2 = pair(seed, correlation, ratio)
    lam, rest = (w.view(-1, 1, 1, 1) for w in min_norm_weights(g1, g2))
    best = lam * g1 + rest * g2
    for share in torch.linspace(0, 1, 101):
        other = share * g1 + (1 - share) * g2
        assert (per_sample_dot(best, best) <= per_sample_dot(other, other) * (1 + 1e-5)).all()


@pytest.mark.parametrize(("seed", "correlation", "ratio"), CASES)
def test_result_descends_on_both(seed, correlation, ratio):
    g1, g2 = pair(seed, correlation, ratio)
    lam, rest = (w.view(-1, 1, 1, 1) for w in min_norm_weights(g1, g2))
    d = lam * g1 + rest * g2
    length = per_sample_dot(d, d)
    for g in (g1, g2):
        assert (per_sample_dot(d, g) >= length * (1 - 1e-4) - 1e-5).all()


def test_clips_to_the_shorter_of_two_aligned_directions():
    g = torch.ones(1, 4, 2, 2)
    assert [w.item() for w in min_norm_weights(3 * g, g)] == [0, 1]
    assert [w.item() for w in min_norm_weights(g, 3 * g)] == [1, 0]


def test_degenerate_directions():
    g, zero = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 4, 2, 2)
    assert min_norm_weights(g, zero)[0].eq(1).all()  # no texture: all to shape
    assert min_norm_weights(zero, g)[0].eq(0).all()  # no shape: all to texture
    assert min_norm_weights(zero, zero)[0].eq(1).all()  # neither: shape
    torch.testing.assert_close(min_norm_weights(g, g)[0], torch.full((3,), 0.5))  # the same: even


def test_half_precision_does_not_overflow():
    g1, g2 = pair(0, 1, 1)
    half = min_norm_weights((1000 * g1).half(), (1000 * g2).half())[0]
    torch.testing.assert_close(half, min_norm_weights(g1, g2)[0], atol=1e-3, rtol=0)


def test_pinned_value():
    # |g1|^2 = 4, |g2|^2 = 1, orthogonal: lambda = 1 / (4 + 1)
    lam, rest = min_norm_weights(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert (lam.item(), rest.item()) == (pytest.approx(0.2), pytest.approx(0.8))
