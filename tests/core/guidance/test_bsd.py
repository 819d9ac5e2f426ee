from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import make_inputs
from tbsd_pack.tbsd_core.balancing.mgda import per_sample_dot
from tbsd_pack.tbsd_core.guidance.bsd import BSD, BSDConfig


@pytest.mark.parametrize("scale", [0.3, 2.0, 15.0, 1 / 0.018])
def test_is_the_published_closed_form_for_each_sample(scale):
    inputs = make_inputs()
    grad = BSD(BSDConfig(guidance_scale=scale))(inputs).grad
    for i in range(4):
        eps_uncond = inputs.eps["uncond"][i].double()
        g_c, g_d = scale * (inputs.eps["target"][i].double() - eps_uncond), eps_uncond
        a = float((((g_d - g_c) * g_d).sum() / ((g_d - g_c) ** 2).sum()).clamp(0, 1))
        expected = inputs.alphas_cumprod[i].double().sqrt() * (a * g_c + (1 - a) * g_d)
        torch.testing.assert_close(grad[i].double(), expected, atol=1e-5, rtol=1e-5)


def test_a_larger_scale_cannot_make_the_gradient_longer_than_the_smoothing_one():
    """The built-in limit of saturation: |grad| <= min(|g_c|, |g_d|) whatever lambda."""
    inputs = make_inputs()
    for scale in (1.0, 10.0, 1000.0):
        grad = BSD(BSDConfig(guidance_scale=scale, weighting="uniform"))(inputs).grad
        smoothing = inputs.eps["uncond"]
        assert (per_sample_dot(grad, grad) <= per_sample_dot(smoothing, smoothing) * (1 + 1e-5)).all()


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    inputs = dataclasses.replace(
        make_inputs(batch=1),
        eps={"target": value(1.0), "uncond": value(-1.0)},
        noise=value(0.5),
        alphas_cumprod=torch.tensor([0.81]),
    )
    # g_c = 4, g_d = -1: a = (-5)(-1) / 25 = 0.2, and 0.2 * 4 - 0.8 = 0
    out = BSD(BSDConfig(guidance_scale=2.0))(inputs)
    assert out.scalars["lambda_classifier"].item() == pytest.approx(0.2)
    assert out.grad.item() == pytest.approx(0.0, abs=1e-6)
    # with eps_uncond = 0.5, g_c = 1 and g_d = 0.5: aligned, so all to the shorter
    inputs = dataclasses.replace(inputs, eps={"target": value(1.0), "uncond": value(0.5)})
    assert BSD(BSDConfig(guidance_scale=2.0))(inputs).grad.item() == pytest.approx(0.9 * 0.5)
