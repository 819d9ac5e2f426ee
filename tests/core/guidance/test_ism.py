from __future__ import annotations

import math

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior
from tbsd_pack.tbsd_core.guidance.ism import ISM, ISMConfig
from tbsd_pack.tbsd_core.optim import Batch, Predictor, predict_and_guide
from tbsd_pack.tbsd_core.prompts import PromptSet

T = torch.tensor([20, 77, 333, 560])


def prompts(prior) -> PromptSet:
    names = ("target", "uncond", "negative", "target_negative")
    return PromptSet({n: {"": prior.encode_prompt(n)} for n in names}, {n: {"": n} for n in names})


def step(method, t=T, progress=0.5, samples=slice(None)):
    prior = gaussian_prior()
    generator = torch.Generator().manual_seed(4)
    latents, noise = torch.rand(len(T), *SHAPE, generator=generator), torch.randn(len(T), *SHAPE, generator=generator)
    latents, noise, t = latents[samples], noise[samples], t[samples]
    predict = Predictor(prior, prompts(prior), [""] * len(t))
    out = predict_and_guide(method, predict, Batch(latents, t, noise), progress).out
    return out, latents, noise


def closed_form(x, t: int, name: str):
    """The exact prediction, from the mean and variance that `name` stands for."""
    prior = gaussian_prior()
    a, c = float(prior.schedule.alphas_cumprod[t]), prior.prompts[name]
    return math.sqrt(1 - a) * (x - math.sqrt(a) * c.mean) / (a * c.variance + 1 - a)


def to(x, eps, t: int, then: int):
    a, b = (float(v) for v in gaussian_prior().schedule.alphas_cumprod[[t, then]])
    return math.sqrt(b / a) * (x - math.sqrt(1 - a) * eps) + math.sqrt(1 - b) * eps


@pytest.mark.parametrize("baseline", ["uncond", "negative"])
def test_is_the_published_difference_along_the_published_inversion(baseline):
    """With the authors' numbers: from 0 by 200 to t - 50, one step of 50 to t, weight sqrt((1 - a) / a)."""
    out, latents, noise = step(ISM(ISMConfig(baseline=baseline)))
    for i, t in enumerate(T.tolist()):
        a_0 = float(gaussian_prior().schedule.alphas_cumprod[0])
        x, now, s = math.sqrt(a_0) * latents[i] + math.sqrt(1 - a_0) * noise[i], 0, max(t - 50, 0)
        while now < s:
            then = min(now + 200, s)
            x, now = to(x, closed_form(x, now, "uncond"), now, then), then
        interval = closed_form(x, s, "uncond")
        x_t = to(x, interval, s, t)
        away = closed_form(x_t, t, baseline)
        a = float(gaussian_prior().schedule.alphas_cumprod[t])
        guided = away + 7.5 * (closed_form(x_t, t, "target") - away)
        torch.testing.assert_close(out.grad[i], math.sqrt((1 - a) / a) * (guided - interval), atol=1e-5, rtol=1e-4)


def test_the_interval_shrinks_over_the_first_part_of_the_run():
    ism = ISM()
    assert [ism.interval(u, 1000) for u in (0.0, 0.15, 0.3, 1.0)] == [100, 75, 50, 50]
    assert ISM(ISMConfig(interval_anneal=0.0)).interval(0.0, 1000) == 50


def test_samples_are_independent():
    whole = step(ISM())[0].grad
    for i in range(len(T)):
        torch.testing.assert_close(whole[i : i + 1], step(ISM(), samples=slice(i, i + 1))[0].grad)


def test_a_prompt_that_says_nothing_leaves_the_error_of_the_inversion_alone():
    """With one Gaussian for all prompts, smaller intervals make the gradient vanish: nothing is drawn in it."""
    sizes = []
    for interval in (0.1, 0.05, 0.01):
        config = ISMConfig(guidance_scale=0.0, interval=interval, interval_anneal=0.0)
        sizes.append(float(step(ISM(config), torch.tensor([400, 450, 500, 560]))[0].grad.abs().mean()))
    assert sizes[0] > 1.5 * sizes[1] > 4 * sizes[2]


def test_conditions():
    assert ISM().required(0.5) == ("target", "uncond") and ISM().visited(0.5) == ("uncond",)
    assert ISM(ISMConfig(baseline="negative")).required(0.5) == ("target", "negative")
    assert ISM(ISMConfig(guidance_scale=1.0, baseline="negative")).required(0.5) == ("target",)
    assert ISM(ISMConfig(guidance_scale=0.0, baseline="negative")).required(0.5) == ("negative",)


def test_pinned_value():
    assert float(step(ISM())[0].grad.abs().mean()) == pytest.approx(1.3354908, rel=1e-4)
