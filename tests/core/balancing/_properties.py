"""Properties of every balancer, whatever its rule."""

from __future__ import annotations

import torch
from tbsd_pack.tbsd_core.balancing import mix
from tbsd_pack.tbsd_core.balancing.base import filtered

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
            assert bool((weight >= 0).all())
        assert bool((sum(balancer(g1, g2, u)) > 0).all())
        mixed = mix(balancer, g1, g2, u)
        assert mixed.grad.shape == g1.shape and mixed.grad.dtype == torch.float32
        assert mixed.lambda_shape.shape == mixed.lambda_texture.shape == (5,)


def check_mixture_is_the_weighted_sum_of_the_filtered_directions(balancer) -> None:
    g1, g2 = directions()
    for u in PROGRESS:
        f1, f2 = filtered(balancer, g1, g2)
        a, b = (w.view(-1, 1, 1, 1) for w in balancer(f1, f2, u))
        torch.testing.assert_close(mix(balancer, g1, g2, u).grad, a * f1 + b * f2)


def check_mixture_is_linear_in_scale_and_per_sample(balancer) -> None:
    g1, g2 = directions()
    for u in PROGRESS:
        whole = mix(balancer, g1, g2, u).grad
        torch.testing.assert_close(mix(balancer, 8 * g1, 8 * g2, u).grad, 8 * whole)
        for i in range(len(g1)):
            torch.testing.assert_close(whole[i : i + 1], mix(balancer, g1[i : i + 1], g2[i : i + 1], u).grad)


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
            assert bool(torch.isfinite(mix(balancer, *pair, u).grad).all())


ALL = (
    check_range_and_shape,
    check_mixture_is_the_weighted_sum_of_the_filtered_directions,
    check_mixture_is_linear_in_scale_and_per_sample,
    check_scale_invariance,
    check_samples_are_independent,
    check_active_tells_the_truth,
    check_finite_on_degenerate_directions,
)
