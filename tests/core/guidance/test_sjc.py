"""Score Jacobian chaining (arXiv:2212.00774) is SDS with w = 1, in other units: so it is a preset and not a method."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import SHAPE, gaussian_prior
from tbsd_pack.tbsd_core.guidance import METHODS, build_guidance
from tbsd_pack.tbsd_core.optim import Batch, Predictor, predict_and_guide
from tbsd_pack.tbsd_core.prompts import PromptSet


@pytest.mark.parametrize("scale", [1.0, 7.5, 100.0])
def test_the_variance_reduced_gradient_of_sjc_is_that_of_sds_with_equal_weights(scale):
    """z = x + s eps with s = sigma / alpha, D(z) the exact mean of pictures under such noise: g = -(D - x) / s."""
    config, _ = METHODS["sds"].variants["sjc"]
    guidance = build_guidance("sds", dataclasses.replace(config, guidance_scale=scale))
    prior, names = gaussian_prior(), ("target", "uncond")
    prompts = PromptSet({n: {"": prior.encode_prompt(n)} for n in names}, {n: {"": n} for n in names})
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.rand(3, *SHAPE, generator=generator), torch.randn(3, *SHAPE, generator=generator)
    t = torch.tensor([100, 500, 900])
    sds = predict_and_guide(guidance, Predictor(prior, prompts, [""] * 3), Batch(x, t, noise), 0.5).out

    a = prior.schedule.alphas_cumprod[t].view(-1, 1, 1, 1)
    s = ((1 - a) / a).sqrt()
    z = x + s * noise
    mean = {n: (c.variance * z + s**2 * c.mean) / (c.variance + s**2) for n, c in prior.prompts.items()}
    denoised = mean["uncond"] + scale * (mean["target"] - mean["uncond"])
    torch.testing.assert_close(sds.grad, -(denoised - x) / s, atol=1e-4, rtol=1e-4)
