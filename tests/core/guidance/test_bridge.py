from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import make_inputs
from tbsd_pack.tbsd_core.guidance import Bridge, BridgeConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.presets import preset


def test_first_stage_is_sds_bit_for_bit():
    inputs = make_inputs(progress=0.49)
    assert torch.equal(Bridge()(inputs).grad, SDS(SDSConfig(guidance_scale=25.0))(inputs).grad)


def test_stage_is_a_function_of_progress_alone():
    """Progress past the switch is stage 2 without ever having been at it: a run may resume anywhere."""
    method = Bridge(BridgeConfig(switch=0.5))
    assert [method.required(u) for u in (0.49, 0.5, 0.77)] == [
        ("target", "uncond"),
        ("target", "target_negative"),
        ("target", "target_negative"),
    ]


@pytest.mark.parametrize("negative", ["negative", "target_negative"])
def test_second_stage_moves_away_from_the_chosen_negative(negative):
    inputs = make_inputs(progress=0.5)
    eps = inputs.eps
    w_t = (1 - inputs.alphas_cumprod).view(-1, 1, 1, 1)
    plain = Bridge(BridgeConfig(negative=negative, guidance_scale=40.0))
    torch.testing.assert_close(plain(inputs).grad, w_t * 40 * (eps["target"] - eps[negative]))
    anchored = Bridge(BridgeConfig(negative=negative, guidance_scale=40.0, anchor=0.5))
    expected = w_t * (0.5 * (eps["uncond"] - inputs.noise) + 40 * (eps["target"] - eps[negative]))
    torch.testing.assert_close(anchored(inputs).grad, expected)
    assert anchored.required(0.5) == ("target", negative, "uncond")


def test_the_second_stage_of_3d_has_neither_scale_nor_weight_as_published():
    """SDS-Bridge's threestudio code: eps_target - eps_source there, and sigma^2 times SDS in the first stage."""
    values = {k.removeprefix("guidance."): s.value for k, s in preset("sd21_base", "nerf", "bridge").items()}
    config = BridgeConfig(**{k: v for k, v in values.items() if k in BridgeConfig.__dataclass_fields__})
    first, second = make_inputs(progress=0.79), make_inputs(progress=0.8)
    torch.testing.assert_close(Bridge(config)(second).grad, second.eps["target"] - second.eps["target_negative"])
    assert torch.equal(Bridge(config)(first).grad, SDS(SDSConfig(guidance_scale=100.0))(first).grad)
    anchored = Bridge(dataclasses.replace(config, anchor=2.0))(second).grad
    pull = 2.0 * (second.eps["uncond"] - second.noise)
    torch.testing.assert_close(anchored, pull + second.eps["target"] - second.eps["target_negative"])


def test_vanishes_where_target_and_negative_agree():
    inputs = make_inputs(progress=0.9)
    inputs = dataclasses.replace(inputs, eps={**inputs.eps, "target_negative": inputs.eps["target"]})
    assert Bridge()(inputs).grad.eq(0).all()


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    inputs = dataclasses.replace(
        make_inputs(0.5, batch=1),
        eps={"target": value(3.0), "target_negative": value(4.0)},
        noise=value(0.5),
        alphas_cumprod=torch.tensor([0.81]),
    )
    assert Bridge()(inputs).grad.item() == pytest.approx(0.19 * 25 * -1)
