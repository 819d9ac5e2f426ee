from __future__ import annotations

import pytest
import torch
from guidance_properties import a_source, equal_variances, gradient, make_inputs
from tbsd_pack.tbsd_core.balancing import BalanceConfig
from tbsd_pack.tbsd_core.guidance.dds import DDS, DDSConfig
from tbsd_pack.tbsd_core.guidance.tbsd_edit import TBSDEdit, TBSDEditConfig, where_it_changes


def with_shares(shape: float, **settings) -> TBSDEdit:
    """Fixed weights of shape and texture, without the pull to the source itself."""
    config = TBSDEditConfig(balancer="fixed", balance=BalanceConfig(shape_share=shape), **{"hold": 0.0, **settings})
    return TBSDEdit(config)


def test_all_shape_is_dds():
    method, dds = with_shares(1.0), DDS(DDSConfig(guidance_scale=TBSDEditConfig().guidance_scale))
    inputs = make_inputs(0.3)
    weighting = TBSDEditConfig().weighting
    dds = DDS(DDSConfig(guidance_scale=TBSDEditConfig().guidance_scale, weighting=weighting))
    torch.testing.assert_close(method(inputs).grad, dds(inputs).grad)
    assert set(method.required(0.3)) == set(dds.required(0.3))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_fixed_point_adds_both_directions_against_the_anchor(share):
    prior, means = equal_variances()
    method = with_shares(share, guidance_scale=4.0, texture_scale=2.0, anchor=2.0)
    step = (share * 4 + (1 - share) * 2) * (means["target"] - means["source"])
    assert float(gradient(method, prior, a_source() + step / 2, a_source()).abs().max()) < 1e-5


def test_cells_without_a_change_are_pulled_back_and_others_are_not():
    direction = torch.zeros(1, 3, 8, 8)
    direction[..., :4] = 1.0
    changing = where_it_changes(direction)
    assert changing.shape == (1, 1, 8, 8)
    assert bool((changing[..., :3] == 1).all()) and bool((changing[..., 5:] == 0).all())
    torch.testing.assert_close(where_it_changes(10 * direction), changing)
    inputs = make_inputs(0.3)
    eps = inputs.eps | {"source_negative": inputs.eps["target"].clone()}  # the prompts say the same everywhere
    same = type(inputs)(**{**vars(inputs), "eps": eps})
    held = TBSDEdit(TBSDEditConfig(hold=2.0))(same).terms["held"]
    torch.testing.assert_close(held, inputs.change)


def test_conditions_of_weight_zero_are_not_requested():
    assert with_shares(0.0, anchor=0.0).required(0.5) == ("target", "source_negative")
    assert with_shares(1.0, anchor=0.0).required(0.5) == ("target", "uncond", "source_uncond", "source")
    assert "source_negative" in with_shares(1.0, hold=1.0).required(0.5)


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 3, 1, 1), v)

    eps = {"target": 3.0, "uncond": 1.0, "source": 2.0, "source_uncond": 1.5, "source_negative": 2.5}
    inputs = make_inputs(0.0)
    inputs = type(inputs)(
        **{
            **vars(inputs),
            "eps": {name: value(v) for name, v in eps.items()},
            "noise": value(0.0),
            "alphas_cumprod": torch.tensor([0.81]),
            "t": torch.tensor([10]),
            "latents": value(0.4),
            "source": value(0.1),
        }
    )
    method = with_shares(0.25, guidance_scale=2.0, texture_scale=6.0, anchor=3.0, weighting="sigma2")
    expected = 0.19 * (0.25 * 2.0 * (2.0 - 0.5) + 0.75 * 6.0 * 0.5 + 3.0 * (1.0 - 1.5))
    assert float(method(inputs).grad.mean()) == pytest.approx(expected, rel=1e-5)
