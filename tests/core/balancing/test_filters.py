"""The balancers that change the directions before they weigh them."""

from __future__ import annotations

import math

import balancing_properties as properties
import pytest
import torch
from tbsd_pack.tbsd_core.balancing import BalanceConfig, build_balancer, mix
from tbsd_pack.tbsd_core.balancing.band import low_pass
from tbsd_pack.tbsd_core.balancing.mgda import per_sample_dot
from tbsd_pack.tbsd_core.balancing.orthogonal import orthogonal_part


def mixed(name: str, g1: torch.Tensor, g2: torch.Tensor, **settings) -> torch.Tensor:
    return mix(build_balancer(name, BalanceConfig(**settings)), g1, g2, 0.5).grad


def wave(frequency: float, size: int = 16) -> torch.Tensor:
    """A cosine [1, 1, size, size] along the rows that mirrored edges continue, with the given cycles per cell."""
    columns = torch.arange(size) + 0.5
    return torch.cos(2 * math.pi * frequency * columns).expand(1, 1, size, size)


@pytest.mark.parametrize("cycles", [1, 3, 5, 8])
def test_the_filter_has_the_gaussian_transfer_with_half_amplitude_at_the_cutoff(cycles):
    frequency = cycles / 32
    torch.testing.assert_close(
        low_pass(wave(frequency), 5 / 32), 0.5 ** (cycles / 5) ** 2 * wave(frequency), atol=1e-5, rtol=0
    )


def test_the_filter_leaves_constants_and_works_on_any_sides():
    flat = torch.full((2, 4, 5, 7), 3.0)
    torch.testing.assert_close(low_pass(flat, 0.1), flat)
    g = torch.randn(2, 4, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(low_pass(g, 0.1).mean((-1, -2)), g.mean((-1, -2)))


def test_the_filter_does_not_carry_over_the_edges():
    g = torch.zeros(1, 1, 16, 16)
    g[..., 0] = 1
    assert low_pass(g, 0.2)[..., -1].abs().max() < 1e-3 < low_pass(g, 0.2)[..., 1].abs().max()
    assert low_pass(g.mT, 0.2)[..., -1, :].abs().max() < 1e-3 < low_pass(g.mT, 0.2)[..., 1, :].abs().max()


def test_band_takes_the_coarse_from_shape_and_the_fine_from_texture():
    coarse, fine = wave(1 / 32), wave(15 / 32)
    d = mixed("band", coarse + fine, -coarse - fine, cutoff=0.15)
    torch.testing.assert_close(d, coarse - fine, atol=0.07, rtol=0)


def test_band_of_one_direction_is_that_direction():
    g, _ = properties.directions()
    torch.testing.assert_close(mixed("band", g, g), g)


def test_orthogonal_leaves_the_length_along_shape_to_shape():
    g1, g2 = properties.directions()
    d = mixed("orthogonal", g1, g2)
    torch.testing.assert_close(per_sample_dot(d, g1), per_sample_dot(g1, g1))
    for i in range(len(g1)):
        a, b = g1[i].flatten().double(), g2[i].flatten().double()
        torch.testing.assert_close(d[i].flatten().double(), a + b - (a @ b) / (a @ a) * a, atol=1e-5, rtol=1e-5)


def test_orthogonal_of_parallel_and_absent_directions():
    g, _ = properties.directions()
    zero = torch.zeros_like(g)
    assert orthogonal_part(2 * g, g).abs().max() < 1e-5
    assert torch.equal(orthogonal_part(g, zero), g)
    assert torch.equal(mixed("orthogonal", zero, g), g) and torch.equal(mixed("orthogonal", g, zero), g)


@pytest.mark.parametrize("name", ["band", "orthogonal"])
def test_with_a_schedule_the_filtered_directions_are_weighed(name):
    g1, g2 = properties.directions()
    config = BalanceConfig(shape_floor=0.0)
    f1, f2 = build_balancer(name, config).filter(g1, g2)
    d = mix(build_balancer(f"{name}_schedule", config), g1, g2, 0.25).grad
    torch.testing.assert_close(d, 1.5 * f1 + 0.5 * f2)
