from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.renderer.regularizers import (
    normal_smoothness,
    opacity_entropy,
    orientation,
    sparsity,
    z_variance,
)


def test_entropy_is_that_of_a_coin():
    assert opacity_entropy(torch.full((3,), 0.5)).item() == pytest.approx(math.log(2))
    assert opacity_entropy(torch.tensor([0.0, 1.0])).item() < 2e-3


def test_sparsity_grows_with_thin_fog_faster_than_the_mean_does():
    clear, fog = torch.zeros(1, requires_grad=True), torch.full((1,), 0.3, requires_grad=True)
    sparsity(clear).backward()
    sparsity(fog).backward()
    assert clear.grad == 0 and fog.grad.item() == pytest.approx(0.3 / math.sqrt(0.1))


def test_orientation_counts_only_what_turns_away_and_spares_the_weights():
    weights = torch.tensor([0.5, 0.5, 0.5], requires_grad=True)
    normals = torch.tensor([[0.0, 0, -1], [0, 0, 1], [0, 1, 0]], requires_grad=True)
    rays = torch.tensor([[0.0, 0, 1]]).expand(3, 3)
    value = orientation(weights, normals, rays)
    assert value.tolist() == [0, 0.5, 0]
    value.sum().backward()
    assert weights.grad is None and normals.grad[1, 2] == 1


def test_normals_are_smooth_on_a_plane_and_their_edge_to_nothing_is_free():
    normal = torch.zeros(1, 3, 4, 4)
    normal[:, 2, :, 1:] = 1
    assert normal_smoothness(normal) == 0
    normal[:, :, 0, 3] = torch.tensor([1.0, 0, 0])  # two right angles, to the left and below: 2 each over 12 pairs
    normal.requires_grad_()
    value = normal_smoothness(normal)
    assert value.item() == pytest.approx(4 / 12)
    value.backward()
    assert normal.grad.isfinite().all() and not normal.grad[..., 0].any()


def test_z_variance_is_the_variance_of_the_distance():
    """Oracle: torch's own moments of draws from the weights."""
    weights = torch.tensor([[0.1, 0.3, 0.4], [0.0, 0.9, 0.0], [0.1, 0.1, 0.1]])
    t = torch.tensor([[1.0, 2.0, 4.0]]).expand(3, 3)
    value = z_variance(weights, t, weights.sum(-1, keepdim=True))
    draws = torch.cat([torch.full((int(w * 1000),), float(x)) for w, x in zip(weights[0], t[0], strict=True)])
    assert value[0].item() == pytest.approx(draws.var(unbiased=False).item(), rel=1e-3)
    assert value[1].item() == pytest.approx(0, abs=1e-6) and value[2] == 0  # the last ray has no surface


def test_the_gradient_of_the_entropy_is_that_of_its_formula():
    opacity = torch.tensor([0.02, 0.3, 0.5, 0.9, 0.99999], dtype=torch.float64, requires_grad=True)
    opacity_entropy(opacity).backward()
    a = opacity.detach()
    expected = torch.log((1 - a) / a) / 5 * (a < 1 - 1e-4)
    assert torch.allclose(opacity.grad, expected)
