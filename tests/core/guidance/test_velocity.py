"""The velocity weighting against methods written down in velocities, on a flow model with an exact answer."""

from __future__ import annotations

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior
from tbsd_pack.tbsd_core.balancing import build_balancer
from tbsd_pack.tbsd_core.guidance import GuidanceInputs, TBSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSD
from tbsd_pack.tbsd_core.priors.gaussian import GaussianPrior
from tbsd_pack.tbsd_core.priors.schedule import NoiseSchedule

SHIFT = 3.0  # SD3's
FRACTIONS = torch.arange(1, 1000, dtype=torch.float64) / 1000
TIMES = SHIFT * FRACTIONS / (1 + (SHIFT - 1) * FRACTIONS)


def exact_velocity(x: torch.Tensor, s: torch.Tensor, mean: torch.Tensor | float, variance: float) -> torch.Tensor:
    """E[noise - x_0 | x] for x = (1 - s) x_0 + s noise and x_0 ~ N(mean, variance)."""
    total = (1 - s) ** 2 * variance + s**2
    away = x - (1 - s) * mean
    return s * away / total - (mean + (1 - s) * variance * away / total)


@pytest.fixture
def flow():
    """Velocities by condition name, the true velocity, and the same step as the core's inputs."""
    generator = torch.Generator().manual_seed(2)
    t = torch.tensor([20, 300, 700, 979])
    s = TIMES.float()[t].view(-1, 1, 1, 1)
    x_0, noise = torch.rand(4, *SHAPE, generator=generator), torch.randn(4, *SHAPE, generator=generator)
    prompts = gaussian_prior().prompts
    x = (1 - s) * x_0 + s * noise
    velocities = {n: exact_velocity(x, s, c.mean, c.variance) for n, c in prompts.items()}

    schedule = NoiseSchedule(((1 - TIMES) ** 2 / ((1 - TIMES) ** 2 + TIMES**2)).float())
    prior = GaussianPrior(prompts, schedule)
    x_t = schedule.add_noise(x_0, noise, t)
    eps = prior.predict_noise(x_t, t, [[prompts[n]] * 4 for n in prompts])
    inputs = GuidanceInputs(dict(zip(prompts, eps, strict=True)), noise, schedule.alphas_cumprod[t], t, 0.4)
    return velocities, noise - x_0, inputs


def test_sds_is_the_velocity_loss_of_rectified_flow(flow):
    v, v_true, inputs = flow
    v_cfg = v["uncond"] + 7.0 * (v["target"] - v["uncond"])
    out = SDS(SDSConfig(guidance_scale=7.0, weighting="velocity"))(inputs)
    torch.testing.assert_close(out.grad, v_cfg - v_true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("balancer", ["mgda", "mgda_schedule", "fixed"])
def test_tbsd_balances_velocities_as_it_balances_noise(flow, balancer):
    v, v_true, inputs = flow
    config = TBSDConfig(guidance_scale=7.0, texture_scale=3.0, balancer=balancer, weighting="velocity")
    shape, texture = 7.0 * (v["target"] - v["uncond"]), 3.0 * (v["target"] - v["target_negative"])
    l_s, l_t = (w.view(-1, 1, 1, 1) for w in build_balancer(balancer, config.balance)(shape, texture, 0.4))
    expected = (v["uncond"] - v_true) + l_s * shape + l_t * texture
    torch.testing.assert_close(TBSD(config)(inputs).grad, expected, rtol=1e-3, atol=1e-3)
