from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import make_inputs
from tbsd_pack.tbsd_core.guidance.nfsd import NFSD, NFSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig


def at(inputs, *t: int):
    return dataclasses.replace(inputs, t=torch.tensor(t))


def test_the_domain_term_is_chosen_for_each_sample_by_its_own_timestep():
    inputs = at(make_inputs(), 100, 199, 200, 900)
    e, sigma2 = inputs.eps, 1 - inputs.alphas_cumprod
    for i, t in enumerate(inputs.t.tolist()):
        correction = e["uncond"][i] if t < 200 else e["uncond"][i] - e["negative"][i]
        expected = sigma2[i] * (7.5 * (e["target"][i] - e["uncond"][i]) + correction)
        torch.testing.assert_close(NFSD()(inputs).grad[i], expected, atol=1e-5, rtol=1e-5)


def test_the_threshold_is_a_part_of_the_schedule():
    long = dataclasses.replace(at(make_inputs(), 399, 400, 399, 400), n_timesteps=2000)
    domain = NFSD()(long).terms["delta_domain"]
    assert torch.equal(domain[0], long.eps["uncond"][0])
    assert torch.equal(domain[1], long.eps["uncond"][1] - long.eps["negative"][1])


def test_a_negative_that_is_the_noise_makes_it_sds():
    """Above the threshold eps_negative stands for the drawn noise."""
    inputs = at(make_inputs(), 300, 500, 700, 900)
    inputs = dataclasses.replace(inputs, eps={**inputs.eps, "negative": inputs.noise})
    expected = SDS(SDSConfig(guidance_scale=7.5))(inputs).grad
    torch.testing.assert_close(NFSD()(inputs).grad, expected, atol=1e-5, rtol=1e-5)


def test_conditions_of_weight_zero_are_not_requested():
    assert NFSD().required(0.5) == ("target", "uncond", "negative")
    assert NFSD(NFSDConfig(guidance_scale=0.0)).required(0.5) == ("uncond", "negative")


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    inputs = dataclasses.replace(
        make_inputs(0.1, batch=1),
        eps={"target": value(3.0), "uncond": value(1.0), "negative": value(4.0)},
        noise=value(0.5),
        alphas_cumprod=torch.tensor([0.81]),
    )
    assert NFSD()(at(inputs, 500)).grad.item() == pytest.approx(0.19 * (7.5 * 2 + 1 - 4))
    assert NFSD()(at(inputs, 50)).grad.item() == pytest.approx(0.19 * (7.5 * 2 + 1))
