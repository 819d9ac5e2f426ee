from __future__ import annotations

import pytest
import torch
from guidance_properties import SHAPE, VARIANCE, a_source, equal_variances, gradient
from tbsd_pack.tbsd_core.guidance.dds import DDS, DDSConfig
from tbsd_pack.tbsd_core.guidance.pds import PDS, PDSConfig, coefficients
from tbsd_pack.tbsd_core.priors.schedule import scaled_linear


def test_stochastic_latents_of_the_definition_differ_by_it():
    """z = (x_t' - mu) / sigma of both pictures, with one noise each for x_t and x_t', written out."""
    prior, _ = equal_variances()
    schedule, t, stride = prior.schedule, 500, 2
    a_bar, before, near = (schedule.alphas_cumprod[i].double() for i in (t, t - stride, t - 1))
    beta = 1 - a_bar / near
    generator = torch.Generator().manual_seed(0)
    noise, noise_before = (torch.randn(1, *SHAPE, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = (beta * (1 - before) / (1 - a_bar)).sqrt()
    z = {}
    for name, x in (("target", a_source().double() + 0.2), ("source", a_source().double())):
        x_t = a_bar.sqrt() * x + (1 - a_bar).sqrt() * noise
        (eps,) = prior.predict_noise(x_t.float(), torch.tensor([t]), [[prior.encode_prompt(name)]])
        clean = (x_t - (1 - a_bar).sqrt() * eps) / a_bar.sqrt()
        mu = before.sqrt() * beta / (1 - a_bar) * clean + (1 - beta).sqrt() * (1 - before) / (1 - a_bar) * x_t
        z[name] = (before.sqrt() * x + (1 - before).sqrt() * noise_before - mu) / sigma
    expected = (z["target"] - z["source"])[0].float()
    found = gradient(PDS(PDSConfig(guidance_scale=1.0)), prior, a_source() + 0.2, a_source(), t)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_with_coefficients_of_one_step_nothing_holds_the_source():
    schedule, t = scaled_linear(), torch.arange(20, 980)
    psi, chi = coefficients(schedule, t, 1)
    assert float((psi / chi).abs().max()) < 1e-3 and bool((chi > 0).all())
    psi, chi = (x.flatten() for x in coefficients(schedule, t, 2))
    a_bar = schedule.alphas_cumprod[t]
    about = (1 + a_bar) / 2 * (a_bar / (1 - a_bar)).sqrt()
    torch.testing.assert_close(psi / chi, about, rtol=0.06, atol=1e-3)


def test_the_fixed_point_is_between_the_source_and_that_of_dds():
    prior, means = equal_variances()
    step, t = means["target"] - means["source"], 400
    psi, chi = (float(x) for x in coefficients(prior.schedule, torch.tensor([t]), 2))
    alpha, sigma = (float(x) for x in prior.schedule.alpha_sigma(torch.tensor([t])))
    pull = chi * sigma * alpha / (alpha**2 * VARIANCE + sigma**2)
    share = pull / (psi + pull)
    assert 0.1 < share < 0.9
    method = PDS(PDSConfig(guidance_scale=2.0))
    there = gradient(method, prior, a_source() + share * 2 * step, a_source(), t)
    assert float(there.abs().max()) < 1e-3 * chi
    dds = DDS(DDSConfig(guidance_scale=2.0))
    assert float(gradient(dds, prior, a_source() + 2 * step, a_source(), t).abs().max()) < 1e-5


def test_pinned_value():
    psi, chi = coefficients(scaled_linear(), torch.tensor([500]), 2)
    assert (float(psi), float(chi)) == pytest.approx((0.0322415, 0.0821154), rel=1e-4)
