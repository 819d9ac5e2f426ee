from __future__ import annotations

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior, make_inputs
from tbsd_pack.tbsd_core.guidance import GuidanceInputs, TBSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSD
from tbsd_pack.tbsd_core.priors.gaussian import GaussianCondition, GaussianPrior


def drive(method, prior: GaussianPrior, n_steps: int = 400, n_draws: int = 16, lr: float = 1.0) -> torch.Tensor:
    """Plain gradient descent on one picture; every noise is used with both signs, so its mean is zero."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *SHAPE, generator=generator)
    names = method.required(0.5)
    for _ in range(n_steps):
        noise = torch.randn(n_draws, *SHAPE, generator=generator)
        noise, t = torch.cat([noise, -noise]), torch.randint(100, 900, (n_draws,), generator=generator).repeat(2)
        x_t = prior.schedule.add_noise(x.expand_as(noise), noise, t)
        eps = prior.predict_noise(x_t, t, [[prior.encode_prompt(n)] * len(t) for n in names])
        a_bar = prior.schedule.alphas_cumprod[t]
        out = method(GuidanceInputs(dict(zip(names, eps, strict=True)), noise, a_bar, t, 0.5))
        x = x - lr * out.grad.mean(0, keepdim=True)
    return x[0]


def equal_variances(variance: float = 0.05) -> GaussianPrior:
    """The means of the shared prior, all with one variance: fixed points are then linear in the means."""
    prior = gaussian_prior()
    return GaussianPrior({n: GaussianCondition(c.mean, variance) for n, c in prior.prompts.items()})


@pytest.mark.parametrize("weighting", ["sigma2", "uniform"])
def test_converges_to_the_mode_at_scale_one(weighting):
    prior = gaussian_prior()
    x = drive(SDS(SDSConfig(guidance_scale=1.0, weighting=weighting)), prior)
    torch.testing.assert_close(x, prior.prompts["target"].mean, atol=1e-4, rtol=0)


def test_guidance_overshoots_the_mode_by_its_scale():
    """With equal variances the fixed point is mean_uncond + s (mean_target - mean_uncond): over-saturation."""
    prior = equal_variances()
    target, uncond = prior.prompts["target"].mean, prior.prompts["uncond"].mean
    x = drive(SDS(SDSConfig(guidance_scale=4.0)), prior)
    torch.testing.assert_close(x, uncond + 4 * (target - uncond), atol=1e-3, rtol=0)


def test_tbsd_fixed_point_adds_its_two_directions():
    prior = equal_variances()
    means = {n: c.mean for n, c in prior.prompts.items()}
    x = drive(TBSD(TBSDConfig(guidance_scale=4.0, texture_scale=2.0, balancer="fixed")), prior)
    shape, texture = means["target"] - means["uncond"], means["target"] - means["target_negative"]
    torch.testing.assert_close(x, means["uncond"] + 0.5 * 4 * shape + 0.5 * 2 * texture, atol=1e-3, rtol=0)


def test_expected_gradient_vanishes_at_the_mode():
    prior = gaussian_prior()
    x = prior.prompts["target"].mean.expand(2, *SHAPE)
    noise = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    noise, t = torch.cat([noise, -noise]), torch.tensor([400, 400])
    eps = prior.predict_noise(prior.schedule.add_noise(x, noise, t), t, [[prior.encode_prompt("target")] * 2])[0]
    out = SDS(SDSConfig(guidance_scale=1.0))(
        GuidanceInputs({"target": eps}, noise, prior.schedule.alphas_cumprod[t], t, 0.5)
    )
    assert out.grad.mean(0).abs().max() < 1e-6


def test_equals_classifier_free_guidance_minus_noise():
    inputs = make_inputs()
    for s in (0.0, 1.0, 25.0):
        eps = inputs.eps
        cfg = eps["uncond"] + s * (eps["target"] - eps["uncond"])
        expected = (1 - inputs.alphas_cumprod).view(-1, 1, 1, 1) * (cfg - inputs.noise)
        torch.testing.assert_close(SDS(SDSConfig(guidance_scale=s))(inputs).grad, expected)


def test_conditions_of_weight_zero_are_not_requested():
    assert SDS(SDSConfig(guidance_scale=25.0)).required(0.5) == ("target", "uncond")
    assert SDS(SDSConfig(guidance_scale=1.0)).required(0.5) == ("target",)
    assert SDS(SDSConfig(guidance_scale=0.0)).required(0.5) == ("uncond",)


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    eps = {"target": value(3.0), "uncond": value(1.0)}
    out = SDS()(GuidanceInputs(eps, value(0.5), torch.tensor([0.81]), torch.tensor([0]), 0.0))
    assert out.grad.item() == pytest.approx(0.19 * (0.5 + 25 * 2))
    assert out.scalars["norm_delta_cls"].item() == 2 and out.scalars["norm_residual"].item() == 0.5
