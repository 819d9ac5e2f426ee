from __future__ import annotations

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior, make_inputs
from tbsd_pack.tbsd_core.guidance.hifa import HiFA, HiFAConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.optim import Batch, Predictor, predict_and_guide
from tbsd_pack.tbsd_core.prompts import PromptSet

T = torch.tensor([50, 400, 900])


def step(config: HiFAConfig, images: bool = True):
    prior, names = gaussian_prior(), ("target", "uncond")
    prompts = PromptSet({n: {"": prior.encode_prompt(n)} for n in names}, {n: {"": n} for n in names})
    generator = torch.Generator().manual_seed(4)
    x, noise = torch.rand(3, *SHAPE, generator=generator), torch.randn(3, *SHAPE, generator=generator)
    seen = x if images else None
    predict = Predictor(prior, prompts, [""] * 3)
    return predict_and_guide(HiFA(config), predict, Batch(x, T, noise, seen), 0.5).out, prior, x, noise


@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5, 100.0])
def test_the_gradient_on_the_pictures_is_the_published_one(scale):
    """lambda w(t) (alpha / sigma) (I - decode(x_0)); the decoder of the Gaussian prior clips to the gamut."""
    out, prior, x, noise = step(HiFAConfig(guidance_scale=scale, pixel_scale=0.02))
    alpha, sigma = prior.schedule.alpha_sigma(T)
    x_t = alpha * x + sigma * noise
    eps = {
        n: sigma * (x_t - alpha * c.mean) / (alpha**2 * c.variance + sigma**2)
        for n, c in prior.prompts.items()
        if n in ("target", "uncond")
    }
    guided = eps["uncond"] + scale * (eps["target"] - eps["uncond"])
    estimate = ((x_t - sigma * guided) / alpha).clamp(0, 1)
    expected = 0.02 * sigma**2 * alpha / sigma * (x - estimate)
    torch.testing.assert_close(out.pixel_grad, expected, atol=1e-5, rtol=1e-4)


def test_on_the_latents_it_is_sds():
    inputs = make_inputs()
    hifa = HiFA(HiFAConfig(guidance_scale=7.5))(inputs)
    assert torch.equal(hifa.grad, SDS(SDSConfig(guidance_scale=7.5))(inputs).grad) and hifa.pixel_grad is None


def test_without_its_weight_nothing_is_decoded():
    out, *_ = step(HiFAConfig(pixel_scale=0.0), images=False)
    assert out.pixel_grad is None


def test_latents_without_pictures_are_refused():
    with pytest.raises(ValueError, match="HiFA compares pictures.*pixel_scale to 0"):
        step(HiFAConfig(), images=False)


def test_pinned_value():
    out, *_ = step(HiFAConfig())
    assert float(out.pixel_grad.abs().mean()) == pytest.approx(0.0015562979, rel=1e-4)
