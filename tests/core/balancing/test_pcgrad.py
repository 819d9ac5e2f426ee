from __future__ import annotations

import balancing_properties as properties
import pytest
import torch
from tbsd_pack.tbsd_core.balancing import BalanceConfig, build_balancer, mix
from tbsd_pack.tbsd_core.balancing.mgda import per_sample_dot

SCALES = [(1.0, 1.0), (0.01, 1.0), (1.0, 1e3), (1e-6, 1e-6)]


def pairs(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    g1, g2 = properties.directions()
    zero = torch.zeros_like(g1)
    return {
        "agreeing": (g1, g2),  # most of them
        "conflicting": (g1, -g2),
        "orthogonal": (g1, g2 - (per_sample_dot(g1, g2) / per_sample_dot(g1, g1)).view(-1, 1, 1, 1) * g1),
        "opposite": (g1, -0.5 * g1),
        "equal": (g1, g1),
        "no texture": (g1, zero),
        "no shape": (zero, g2),
        "nothing": (zero, zero),
    }[kind]


KINDS = ("agreeing", "conflicting", "orthogonal", "opposite", "equal", "no texture", "no shape", "nothing")


def mixed(name: str, g1: torch.Tensor, g2: torch.Tensor) -> torch.Tensor:
    return mix(build_balancer(name, BalanceConfig()), g1, g2, 0.5).grad


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_torchjd(kind, scales):
    torchjd = pytest.importorskip("torchjd.aggregation", reason="torchjd is the oracle (dev extra)")
    g1, g2 = (k * g for k, g in zip(scales, pairs(kind), strict=True))
    found = mixed("pcgrad", g1, g2)
    for i in range(len(g1)):
        rows = torch.stack([g1[i].flatten(), g2[i].flatten()]).double()
        expected = torchjd.PCGrad()(rows).float()
        torch.testing.assert_close(found[i].flatten(), expected, atol=1e-5 * float(rows.abs().max()), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_neither_direction_is_opposed(kind):
    g1, g2 = pairs(kind)
    d = mixed("pcgrad", g1, g2)
    assert all((per_sample_dot(d, g) >= -1e-4 * per_sample_dot(g, g)).all() for g in (g1, g2))


@pytest.mark.parametrize("kind", KINDS)
def test_texture_never_undoes_shape(kind):
    """The one-sided form: along shape the mixture is at least the shape direction itself."""
    g1, g2 = pairs(kind)
    d = mixed("pcgrad_shape", g1, g2)
    assert (per_sample_dot(d, g1) >= per_sample_dot(g1, g1) * (1 - 1e-4)).all()


def test_one_sided_formula():
    g1, g2 = pairs("conflicting")
    for i in range(len(g1)):
        a, b = g1[i].flatten().double(), g2[i].flatten().double()
        expected = a + b - min(0.0, float(a @ b)) / float(a @ a) * a
        torch.testing.assert_close(mixed("pcgrad_shape", g1, g2)[i].flatten().double(), expected, atol=1e-5, rtol=1e-5)


def test_directions_that_agree_are_added():
    g1, g2 = pairs("agreeing")
    agree = per_sample_dot(g1, g2) > 0
    g1, g2 = g1[agree], g2[agree]
    assert len(g1) > 1
    for name in ("pcgrad", "pcgrad_shape"):
        assert torch.equal(mixed(name, g1, g2), g1 + g2)


def test_pinned_value():
    # <g1, g2> = -2, |g1|^2 = 4, |g2|^2 = 2: weights 1 + 2 / 4 and 1 + 2 / 2
    g1, g2 = torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 1.0]])
    shape, texture = build_balancer("pcgrad", BalanceConfig())(g1, g2, 0.5)
    assert (shape.item(), texture.item()) == (1.5, 2.0)
    shape, texture = build_balancer("pcgrad_shape", BalanceConfig())(g1, g2, 0.5)
    assert (shape.item(), texture.item()) == (1.5, 1.0)
