from __future__ import annotations

import math

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior
from tbsd_pack.tbsd_core.guidance.sdi import SDI, SDIConfig
from tbsd_pack.tbsd_core.optim import Batch, Predictor, predict_and_guide
from tbsd_pack.tbsd_core.prompts import PromptSet

T = torch.tensor([0, 100, 101, 640, 980])
STILL = SDIConfig(eta=0.0, overshoot=0.0)


def step(config: SDIConfig, t=T, seed: int = 5, samples=slice(None)):
    prior = gaussian_prior()
    names = ("target", "uncond")
    prompts = PromptSet({n: {"": prior.encode_prompt(n)} for n in names}, {n: {"": n} for n in names})
    latents = torch.rand(len(T), *SHAPE, generator=torch.Generator().manual_seed(4))[samples]
    t, noise = t[samples], torch.full_like(latents, float("nan"))  # what was drawn is not looked at
    generator = torch.Generator().manual_seed(seed)
    predict = Predictor(prior, prompts, [""] * len(t))
    said = predict_and_guide(SDI(config), predict, Batch(latents, t, noise), 0.5, generator=generator)
    return said.out, latents


def guided(x, t: int, scale: float):
    """The exact prediction with classifier-free guidance, from means and variances."""
    prior = gaussian_prior()
    a, eps = float(prior.schedule.alphas_cumprod[t]), {}
    for name in ("target", "uncond"):
        c = prior.prompts[name]
        eps[name] = math.sqrt(1 - a) * (x - math.sqrt(a) * c.mean) / (a * c.variance + 1 - a)
    return eps["uncond"] + scale * (eps["target"] - eps["uncond"])


def published(x, t: int, end: int, drawn, eta: float):
    """x - x_0, over the levels 0, 100, ... below t and then `end`; noise as DDIM adds it."""
    a_bar = [1.0, *gaussian_prior().schedule.alphas_cumprod.tolist()]  # [1 + t]; the clean picture first
    levels = [-1, *range(0, max(t, 1), 100), end]
    z, k = x, 0
    for now, then in zip(levels[:-1], levels[1:], strict=True):
        eps = guided(z, max(now, 0), -7.5)
        a, b = a_bar[1 + now], a_bar[1 + then]
        z = math.sqrt(b) * (z - math.sqrt(1 - a) * eps) / math.sqrt(a) + math.sqrt(1 - b) * eps
        if now >= 0:
            z = z + eta * math.sqrt((1 - a) / (1 - b) * (1 - b / a)) * (drawn[-1] if then == end else drawn[k])
            k += 1
    kappa = (z - math.sqrt(a_bar[1 + end]) * x) / math.sqrt(1 - a_bar[1 + end])
    alpha, sigma = math.sqrt(a_bar[1 + t]), math.sqrt(1 - a_bar[1 + t])
    x_t = alpha * x + sigma * kappa
    return x - (x_t - sigma * guided(x_t, t, 7.5)) / alpha


def test_is_the_published_difference_of_the_render_and_its_estimate():
    out, latents = step(STILL)
    for i, t in enumerate(T.tolist()):
        expected = published(latents[i], t, max(t, 1), [0] * 12, 0.0)
        # at t = 0 sigma is 0.03, and both sides carry the rounding of a division by it
        torch.testing.assert_close(out.grad[i], expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


def test_noise_on_the_way_and_the_overshoot_are_the_published_ones():
    out, latents = step(SDIConfig(), seed=7)
    generator = torch.Generator().manual_seed(7)
    beyond = torch.rand(len(T), generator=generator)
    drawn = torch.randn(12, *latents.shape, generator=generator)
    for i, t in enumerate(T.tolist()):
        end = min(max(t + int(beyond[i] * 100), 1), 999)
        expected = published(latents[i], t, end, drawn[:, i], 0.3)
        torch.testing.assert_close(out.grad[i], expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-3)


def test_samples_are_independent():
    whole = step(STILL)[0].grad
    for i in range(len(T)):
        torch.testing.assert_close(whole[i : i + 1], step(STILL, samples=slice(i, i + 1))[0].grad, atol=1e-4, rtol=1e-4)


def test_the_noise_of_a_sample_does_not_depend_on_the_timesteps_of_the_others():
    config = SDIConfig(overshoot=0.0)
    some = step(config)[0].grad
    other = step(config, torch.tensor([0, 100, 300, 900, 980]))[0].grad
    for i in (0, 1, 4):
        torch.testing.assert_close(some[i], other[i])
    assert not torch.allclose(some[2], other[2])


def test_it_is_deterministic_under_its_generator_alone():
    assert torch.equal(step(SDIConfig())[0].grad, step(SDIConfig())[0].grad)
    assert not torch.equal(step(SDIConfig())[0].grad, step(SDIConfig(), seed=6)[0].grad)
    assert torch.equal(step(STILL)[0].grad, step(STILL, seed=6)[0].grad)


def test_conditions_of_weight_zero_are_not_requested():
    assert SDI().required(0.5) == SDI().visited(0.5) == ("target", "uncond")
    assert SDI(SDIConfig(inversion_scale=1.0)).visited(0.5) == ("target",)
    assert SDI(SDIConfig(inversion_scale=0.0)).visited(0.5) == ("uncond",)


def test_pinned_value():
    assert float(step(SDIConfig())[0].grad[3].abs().mean()) == pytest.approx(1.1869208, rel=1e-4)
