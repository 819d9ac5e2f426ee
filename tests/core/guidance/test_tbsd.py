"""Properties of TBSD, whatever its true formula is."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from guidance_properties import make_inputs
from tbsd_pack.tbsd_core.balancing import BalanceConfig, ProgressSchedule
from tbsd_pack.tbsd_core.balancing.mgda import per_sample_dot
from tbsd_pack.tbsd_core.guidance import Bridge, BridgeConfig, TBSDConfig
from tbsd_pack.tbsd_core.guidance.sds import SDS, SDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd import TBSD
from tbsd_pack.tbsd_core.guidance.weighting import weight

S = 7.5


def fixed(share: float, **kwargs) -> TBSD:
    return TBSD(
        TBSDConfig(guidance_scale=S, balancer="fixed", balance=BalanceConfig(shape_share=share), **kwargs)
    )


def with_eps(inputs, **eps):
    return dataclasses.replace(inputs, eps={**inputs.eps, **eps})


def csd(inputs) -> torch.Tensor:
    """w(t) s (eps_target - eps_uncond), classifier score distillation (arXiv:2310.19415)."""
    eps = inputs.eps
    return weight("sigma2", inputs.alphas_cumprod) * (S * (eps["target"] - eps["uncond"]))


def test_all_shape_is_sds_bit_for_bit():
    inputs = make_inputs()
    assert torch.equal(fixed(1.0)(inputs).grad, SDS(SDSConfig(guidance_scale=S))(inputs).grad)


def test_start_of_the_default_schedule_is_sds_bit_for_bit():
    inputs = make_inputs(progress=0.0)
    assert torch.equal(TBSD()(inputs).grad, SDS()(inputs).grad)


def test_all_shape_without_anchor_is_csd_bit_for_bit():
    inputs = make_inputs()
    assert torch.equal(fixed(1.0, anchor=0.0)(inputs).grad, csd(inputs))


def test_all_texture_without_anchor_is_bridge_tnp_bit_for_bit():
    inputs = make_inputs(progress=0.9)
    bridge = Bridge(BridgeConfig(guidance_scale=S, negative="target_negative"))
    assert torch.equal(fixed(0.0, anchor=0.0)(inputs).grad, bridge(inputs).grad)


@pytest.mark.parametrize("balancer", ["mgda", "fixed", "mgda_schedule", "schedule"])
def test_empty_target_negative_is_csd(balancer):
    inputs = make_inputs(progress=0.5)
    inputs = with_eps(inputs, target_negative=inputs.eps["uncond"])
    grad = TBSD(TBSDConfig(guidance_scale=S, balancer=balancer, anchor=0.0))(inputs).grad
    torch.testing.assert_close(grad, csd(inputs))


@pytest.mark.parametrize("balancer", ["mgda", "mgda_schedule"])
def test_target_negative_equal_to_target_falls_back_to_shape(balancer):
    inputs = make_inputs()
    inputs = with_eps(inputs, target_negative=inputs.eps["target"])
    out = TBSD(TBSDConfig(guidance_scale=S, balancer=balancer, anchor=0.0))(inputs)
    torch.testing.assert_close(out.grad, csd(inputs))
    assert out.scalars["lambda_shape"].eq(1).all() and out.scalars["cosine"].eq(0).all()


def test_mgda_gradient_descends_on_shape_and_texture():
    inputs = make_inputs(batch=16)
    out = TBSD(TBSDConfig(guidance_scale=S, balancer="mgda", anchor=0.0, weighting="uniform"))(inputs)
    length = per_sample_dot(out.grad, out.grad)
    for term in ("delta_cls", "delta_tnp"):
        assert (per_sample_dot(out.grad, S * out.terms[term]) >= length * (1 - 1e-4)).all()


def test_mgda_gradient_agrees_with_torchjd():
    torchjd = pytest.importorskip("torchjd.aggregation", reason="torchjd is the oracle (dev extra)")
    inputs = make_inputs()
    config = TBSDConfig(guidance_scale=S, texture_scale=20.0, balancer="mgda", anchor=0.0, weighting="uniform")
    out = TBSD(config)(inputs)
    for i, grad in enumerate(out.grad):
        rows = torch.stack([S * out.terms["delta_cls"][i].flatten(), 20 * out.terms["delta_tnp"][i].flatten()])
        expected = torchjd.MGDA(epsilon=1e-6, max_iters=2000)(rows)
        torch.testing.assert_close(grad.flatten(), expected, atol=5e-3 * float(expected.norm()), rtol=0)


def test_scaling_both_directions_scales_the_gradient_alone():
    inputs = make_inputs()
    small = TBSD(TBSDConfig(guidance_scale=5.0, anchor=0.0))(inputs)
    large = TBSD(TBSDConfig(guidance_scale=20.0, anchor=0.0))(inputs)
    assert torch.equal(large.grad, 4 * small.grad)
    assert torch.equal(large.scalars["lambda_shape"], small.scalars["lambda_shape"])


def test_texture_scale_enters_the_balance():
    inputs = make_inputs()
    config = TBSDConfig(guidance_scale=5.0, balancer="mgda", anchor=0.0)
    short = TBSD(dataclasses.replace(config, texture_scale=0.5))(inputs).scalars
    long = TBSD(dataclasses.replace(config, texture_scale=50.0))(inputs).scalars
    assert (short["lambda_texture"] > long["lambda_texture"]).all()


def test_mixture_is_the_target_injected_into_the_negative():
    """Weights (1 - a, a) are s (eps_target - [eps_uncond + a (eps_tnp - eps_uncond)])."""
    inputs, a = make_inputs(), 0.3
    eps = inputs.eps
    source = eps["uncond"] + a * (eps["target_negative"] - eps["uncond"])
    expected = weight("sigma2", inputs.alphas_cumprod) * S * (eps["target"] - source)
    torch.testing.assert_close(fixed(1 - a, anchor=0.0)(inputs).grad, expected)


def test_resumed_run_sees_the_same_weights():
    method, n_steps = TBSD(), 20
    whole = [method(make_inputs(k / n_steps, seed=k)).scalars["lambda_shape"] for k in range(n_steps)]
    resumed = [TBSD()(make_inputs(k / n_steps, seed=k)).scalars["lambda_shape"] for k in range(11, n_steps)]
    assert all(torch.equal(a, b) for a, b in zip(whole[11:], resumed, strict=True))


def test_conditions_of_weight_zero_are_not_requested():
    assert TBSD().required(0.0) == ("target", "uncond")
    assert TBSD().required(0.01) == ("target", "uncond", "target_negative")
    assert fixed(1.0).required(0.5) == ("target", "uncond")
    assert fixed(0.0).required(0.5) == ("target", "uncond", "target_negative")  # the anchor needs uncond
    assert fixed(0.0, anchor=0.0).required(0.5) == ("target", "target_negative")
    no_floor = BalanceConfig(shape_floor=0.0, schedule=ProgressSchedule(kind="sqrt"))
    assert TBSD(TBSDConfig(anchor=0.0, balance=no_floor)).required(1.0) == ("target", "target_negative")


def test_scalars_describe_the_balance():
    out = TBSD()(make_inputs())
    assert set(out.scalars) == {
        *("lambda_shape", "lambda_texture", "cosine"),
        *("norm_delta_cls", "norm_delta_tnp", "norm_residual"),
    }
    assert set(out.terms) == {"delta_cls", "delta_tnp", "residual"}


def test_pinned_value():
    # one value per sample: delta_cls = 2, delta_tnp = -1, residual = 0.5; MGDA of (2s, -s):
    # lam = <-3, -1> / 9 = 1 / 3; r = 0.75: Z = .25 + 2/12, L_s = 0.6, L_t = 0.4; sigma^2 = 0.19
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    inputs = dataclasses.replace(
        make_inputs(0.25, batch=1),
        eps={"target": value(3.0), "uncond": value(1.0), "target_negative": value(4.0)},
        noise=value(0.5),
        alphas_cumprod=torch.tensor([0.81]),
    )
    out = TBSD(TBSDConfig(guidance_scale=10.0))(inputs)
    assert out.grad.item() == pytest.approx(0.19 * (0.5 + 10 * (0.6 * 2 - 0.4 * 1)), rel=1e-5)
    assert out.scalars["cosine"].item() == -1
