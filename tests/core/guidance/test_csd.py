from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior, make_inputs
from tbsd_pack.tbsd_core.guidance import Bridge, BridgeConfig, GuidanceInputs
from tbsd_pack.tbsd_core.guidance.csd import CSD, CSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.weighting import weight
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior


@pytest.mark.parametrize("progress, n", [(0.0, 0.0), (0.1, 0.2), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)])
def test_is_the_published_sum_with_the_published_annealing(progress, n):
    """Coefficients c = 1, u = -n and n - 1 of the authors' code: u falls and the other rises over half the run."""
    inputs = make_inputs(progress)
    eps = inputs.eps
    torch.testing.assert_close(
        CSD()(inputs).grad, 1.0 * eps["target"] - n * eps["negative"] + (n - 1) * eps["uncond"], atol=1e-5, rtol=1e-5
    )


def test_without_a_negative_it_is_sds_without_its_residual():
    inputs, s = make_inputs(0.3), 25.0
    plain = CSD(CSDConfig(negative_end=0.0, weighting="sigma2"))(inputs).grad
    residual = weight("sigma2", inputs.alphas_cumprod) * (inputs.eps["uncond"] - inputs.noise)
    torch.testing.assert_close(s * plain + residual, SDS(SDSConfig(guidance_scale=s))(inputs).grad)


def test_with_the_whole_negative_it_is_the_second_stage_of_bridge():
    inputs = make_inputs(0.9)
    bridge = Bridge(BridgeConfig(guidance_scale=1.0, negative="negative", weighting="uniform"))
    assert torch.equal(CSD()(inputs).grad, bridge(inputs).grad)


def test_the_drawn_noise_is_not_in_the_gradient():
    inputs = make_inputs(0.3)
    other = dataclasses.replace(inputs, noise=torch.zeros_like(inputs.noise))
    assert torch.equal(CSD()(inputs).grad, CSD()(other).grad)


def test_between_equal_gaussians_the_direction_is_that_of_the_means():
    """With one variance v the gradient is -sigma alpha (mean_target - mean_uncond) / (alpha^2 v + sigma^2)."""
    means = {n: c.mean for n, c in gaussian_prior().prompts.items()}
    prior = GaussianPrior({n: GaussianCondition(m, 0.05) for n, m in means.items()})
    t = torch.tensor([100, 500, 900])
    x_t = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    eps = prior.predict_noise(x_t, t, [[prior.encode_prompt(n)] * 3 for n in ("target", "uncond")])
    a_bar = prior.schedule.alphas_cumprod[t]
    config = CSDConfig(negative_end=0.0)
    out = CSD(config)(GuidanceInputs(dict(zip(("target", "uncond"), eps, strict=True)), x_t, a_bar, t, 0.3))
    alpha, sigma = prior.schedule.alpha_sigma(t)
    difference = means["target"] - means["uncond"]
    expected = -sigma * alpha * difference / (alpha**2 * 0.05 + sigma**2)
    torch.testing.assert_close(out.grad, expected, atol=1e-5, rtol=1e-4)


def test_conditions_of_weight_zero_are_not_requested():
    assert CSD().required(0.0) == ("target", "uncond")
    assert CSD().required(0.25) == ("target", "uncond", "negative")
    assert CSD().required(0.5) == ("target", "negative")
    assert CSD(CSDConfig(negative_end=0.0)).required(0.7) == ("target", "uncond")
    assert CSD(CSDConfig(negative_start=1.0, negative_end=0.5, anneal_end=1.0)).negative_weight(0.5) == 0.75


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    inputs = dataclasses.replace(
        make_inputs(0.1, batch=1),
        eps={"target": value(3.0), "uncond": value(1.0), "negative": value(4.0)},
        noise=value(0.5),
        alphas_cumprod=torch.tensor([0.81]),
    )
    assert CSD(CSDConfig(weighting="sigma2"))(inputs).grad.item() == pytest.approx(0.19 * (0.8 * 2 + 0.2 * -1))
