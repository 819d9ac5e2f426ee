"""What every balancer must satisfy, whatever its rule."""

from __future__ import annotations

import torch

PROGRESS = (0.0, 0.25, 0.5, 0.9, 1.0)


def directions(batch: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two positively correlated directions [batch, 4, 3, 3], as delta_cls and delta_tnp are."""
    generator = torch.Generator().manual_seed(seed)
    shared, a, b = torch.randn(3, batch, 4, 3, 3, generator=generator)
    return 2 * a + shared, b + shared


def check_range_and_shape(balancer) -> None:
    g1, g2 = directions()
    for u in PROGRESS:
        for weight in balancer(g1, g2, u):
            assert weight.shape == (5,) and weight.dtype == torch.float32
            assert bool(((weight >= 0) & (weight <= 1)).all())
        assert bool((sum(balancer(g1, g2, u)) > 0).all())


def check_scale_invariance(balancer) -> None:
    g1, g2 = directions()
    for u in PROGRESS:
        for ours, scaled in zip(balancer(g1, g2, u), balancer(1000 * g1, 1000 * g2, u), strict=True):
            torch.testing.assert_close(ours, scaled)


def check_samples_are_independent(balancer) -> None:
    g1, g2 = directions()
    for u in PROGRESS:
        whole = balancer(g1, g2, u)
        for i in range(len(g1)):
            alone = balancer(g1[i : i + 1], g2[i : i + 1], u)
            for w, a in zip(whole, alone, strict=True):
                torch.testing.assert_close(w[i : i + 1], a)


def check_active_tells_the_truth(balancer) -> None:
    """A weight that `active` rules out is exactly zero, for any directions, zero ones included."""
    g1, g2 = directions()
    zero = torch.zeros_like(g1)
    for u in PROGRESS:
        for pair in ((g1, g2), (g1, zero), (zero, g2), (zero, zero), (g1, g1)):
            for weight, is_active in zip(balancer(*pair, u), balancer.active(u), strict=True):
                assert is_active or bool((weight == 0).all())


def check_finite_on_degenerate_directions(balancer) -> None:
    g1, _ = directions()
    zero = torch.zeros_like(g1)
    for u in PROGRESS:
        for pair in ((g1, zero), (zero, g1), (zero, zero), (g1, g1), (g1, -g1), (1e-25 * g1, 1e-25 * g1)):
            for weight in balancer(*pair, u):
                assert bool(torch.isfinite(weight).all())


ALL = (
    check_range_and_shape,
    check_scale_invariance,
    check_samples_are_independent,
    check_active_tells_the_truth,
    check_finite_on_degenerate_directions,
)
