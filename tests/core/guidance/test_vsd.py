from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import make_inputs
from tbsd_pack.tbsd_core.guidance.esd import ESD, ESDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.vsd import VSD, VSDConfig


def test_vsd_is_sds_when_the_renders_are_one_picture():
    """The score of a single picture x_0 is exactly the noise that was added to it."""
    inputs = make_inputs()
    exact = dataclasses.replace(inputs, eps={**inputs.eps, "lora": inputs.noise})
    expected = SDS(SDSConfig(guidance_scale=7.5))(inputs)
    assert torch.equal(VSD()(exact).grad, expected.grad)


def test_vsd_vanishes_where_the_renders_are_what_the_prior_wants():
    inputs = make_inputs()
    eps = {**inputs.eps, "lora": inputs.eps["target"]}
    assert torch.count_nonzero(VSD(VSDConfig(guidance_scale=1.0))(dataclasses.replace(inputs, eps=eps)).grad) == 0


def test_vsd_by_its_formula():
    inputs = make_inputs()
    eps, sigma2 = inputs.eps, (1 - inputs.alphas_cumprod).view(-1, 1, 1, 1)
    expected = sigma2 * (eps["uncond"] + 7.5 * (eps["target"] - eps["uncond"]) - eps["lora"])
    torch.testing.assert_close(VSD()(inputs).grad, expected)


def test_esd_by_its_formula():
    inputs = make_inputs()
    eps, sigma2 = inputs.eps, (1 - inputs.alphas_cumprod).view(-1, 1, 1, 1)
    guided = eps["uncond"] + 7.5 * (eps["target"] - eps["uncond"])
    expected = sigma2 * (guided - 0.7 * eps["lora"] - 0.3 * eps["lora_no_camera"])
    torch.testing.assert_close(ESD(ESDConfig(entropy=0.3))(inputs).grad, expected)


def test_esd_without_entropy_is_vsd_and_asks_for_no_more():
    inputs = make_inputs()
    esd = ESD(ESDConfig(entropy=0.0))
    assert torch.equal(esd(inputs).grad, VSD()(inputs).grad)
    assert esd.required(0.5) == VSD().required(0.5) == ("target", "uncond", "lora")
    assert ESD(ESDConfig(entropy=1.0)).required(0.5) == ("target", "uncond", "lora_no_camera")
    assert ESD().required(0.5) == ("target", "uncond", "lora", "lora_no_camera")


def test_pinned_value():
    assert float(VSD()(make_inputs(seed=5)).grad.abs().mean()) == pytest.approx(0.3971430, rel=1e-5)
