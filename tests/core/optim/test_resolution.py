from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tbsd_pack.tbsd_core.optim.linear_latents import LinearLatents
from tbsd_pack.tbsd_core.optim.resolution import render_size
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.priors.small_world.world import render_truth, view_cameras


def test_sizes_double_in_equal_parts():
    assert [render_size(64, 512, 0.6, i / 10) for i in range(10)] == [64] * 2 + [128] * 2 + [256] * 2 + [512] * 4
    assert render_size(48, 64, 0.5, 0.0) == 48 and render_size(48, 64, 0.5, 0.5) == 64
    assert render_size(64, 64, 0.5, 0.0) == 64


def test_an_affine_encoder_is_found_exactly():
    """The Gaussian prior's latents are its pixels."""
    linear = LinearLatents(GaussianPrior({}), 16, torch.device("cpu"))
    assert linear.explained == pytest.approx(1, abs=1e-6)
    cells = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(linear(cells), GaussianPrior({}).encode(cells), atol=1e-4)


def test_the_learned_encoder_is_nearly_affine_also_on_its_own_pictures():
    prior = load_prior("learned")
    linear = LinearLatents(prior, 64, torch.device("cpu"))
    again = LinearLatents(prior, 64, torch.device("cpu"))
    assert torch.equal(linear.matrix, again.matrix) and linear.explained > 0.8
    cameras = view_cameras(torch.tensor([20.0, 120.0]), torch.tensor([20.0, 30.0]))
    images = render_truth("house", "brick", cameras, 64).images
    with torch.no_grad():
        wanted = prior.encode(images)
    error = (linear(F.avg_pool2d(images, 4)) - wanted).square().sum()
    assert error < 0.25 * (wanted - wanted.mean((0, 2, 3), keepdim=True)).square().sum()
