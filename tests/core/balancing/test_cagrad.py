from __future__ import annotations

import balancing_properties as properties
import pytest
import torch
import torchjd.aggregation
from tbsd_pack.tbsd_core.balancing.cagrad import conflict_averse_weights
from tbsd_pack.tbsd_core.balancing.mgda import min_norm_weights


def pairs(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    g1, g2 = properties.directions(batch=16)
    return {
        "agreeing": (g1, g2),
        "conflicting": (g1, -g2),
        "short texture": (g1, 0.05 * g2),
        "long texture": (g1, -20 * g2),
        "nearly parallel": (g1, g1 + 1e-3 * g2),
        "nearly opposite": (g1, -g1 + 1e-2 * g2),
        "large": (1e6 * g1, -1e6 * g2),
        "small": (1e-6 * g1, -1e-6 * g2),
    }[kind]


KINDS = (
    "agreeing",
    "conflicting",
    "short texture",
    "long texture",
    "nearly parallel",
    "nearly opposite",
    "large",
    "small",
)


@pytest.mark.parametrize("c", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_no_other_mixture_has_a_lower_objective(kind, c):
    """The paper's dual problem, searched by brute force in float64; then its d from the weights of the winner."""
    g1, g2 = pairs(kind)
    found = [w.double() for w in conflict_averse_weights(g1, g2, c)]
    for i in range(len(g1)):
        a, b = g1[i].flatten().double(), g2[i].flatten().double()
        mean, low, high = (a + b) / 2, 0.0, 1.0
        for _ in range(3):  # the objective is convex: search again around the best
            shares = torch.linspace(low, high, 2001, dtype=torch.float64)
            mixtures = shares[:, None] * a + (1 - shares[:, None]) * b
            best = int((mixtures @ mean + c * mean.norm() * mixtures.norm(dim=1)).argmin())
            low, high = float(shares[max(best - 1, 0)]), float(shares[min(best + 1, 2000)])
        expected = mean + c * mean.norm() * mixtures[best] / mixtures[best].norm()
        d = found[0][i] * a + found[1][i] * b
        assert float((d - expected).norm() / expected.norm()) < 2e-3, (kind, i)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "small"])  # torchjd takes those for zero
def test_agrees_with_torchjd(kind):
    g1, g2 = pairs(kind)
    shape, texture = conflict_averse_weights(g1, g2, 0.5)
    for i in range(4):
        rows = torch.stack([g1[i].flatten(), g2[i].flatten()]).double()
        expected = torchjd.aggregation.CAGrad(c=0.5)(rows)
        d = shape[i].double() * rows[0] + texture[i].double() * rows[1]
        assert float((d - expected).norm() / expected.norm()) < 1e-2


def test_without_aversion_it_is_the_mean():
    g1, g2 = pairs("conflicting")
    assert all(w.eq(0.5).all() for w in conflict_averse_weights(g1, g2, 0.0))


def test_the_mean_is_never_far():
    """|d - g0| = c |g0|: the constraint of the paper holds with equality."""
    for kind in KINDS:
        g1, g2 = pairs(kind)
        shape, texture = (w.view(-1, 1, 1, 1) for w in conflict_averse_weights(g1, g2, 0.4))
        away = (shape * g1 + texture * g2 - (g1 + g2) / 2).flatten(1).norm(dim=1)
        torch.testing.assert_close(away, 0.4 * ((g1 + g2) / 2).flatten(1).norm(dim=1), rtol=2e-3, atol=0)


def test_what_is_added_turns_to_the_neglected_direction_as_mgda_does():
    """For c towards infinity g_w is the shortest mixture; at 0.99 in strong conflict it is near it."""
    g1, g2 = pairs("conflicting")
    shape, texture = conflict_averse_weights(3 * g1, g2, 0.99)
    lam, rest = min_norm_weights(3 * g1, g2)
    assert ((texture > shape) == (rest > lam)).all()


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(1, 0, 1.0), (0, 1, 1.0), (0, 0, 1.0), (1, -1, 1.0), (1, 1, 1.5)]
)
def test_degenerate_directions(first, second, expected):
    """One absent, both absent, opposite: finite; equal: the direction itself, 1 + c times as long."""
    g, _ = properties.directions()
    shape, texture = conflict_averse_weights(first * g, second * g, 0.5)
    assert torch.isfinite(shape).all() and torch.isfinite(texture).all()
    if (first, second) in ((1, -1), (0, 0)):
        assert shape.eq(0.5).all() and texture.eq(0.5).all()
    elif (first, second) == (1, 1):
        torch.testing.assert_close(shape + texture, torch.full_like(shape, expected))


def test_pinned_value():
    # orthogonal and of one length: w = 1/2, g_w = g0, d = (1 + c) g0
    g1, g2 = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert [w.item() for w in conflict_averse_weights(g1, g2, 0.5)] == [pytest.approx(0.75), pytest.approx(0.75)]
