from __future__ import annotations

import pytest
import torch
from guidance_properties import make_inputs
from tbsd_pack.tbsd_core.guidance import directions
from tbsd_pack.tbsd_core.guidance.weighting import WEIGHTINGS, weight


def test_bridge_direction_is_classifier_direction_from_another_start():
    eps = make_inputs().eps
    both = directions.delta_cls(eps["target"], eps["uncond"]) - directions.delta_cls(eps["negative"], eps["uncond"])
    torch.testing.assert_close(directions.delta_gnp(eps["target"], eps["negative"]), both)


def test_cosine_and_norm():
    a = torch.tensor([[[[3.0, 4.0]]], [[[1.0, 0.0]]], [[[0.0, 0.0]]]])
    b = torch.tensor([[[[6.0, 8.0]]], [[[0.0, 2.0]]], [[[1.0, 1.0]]]])
    torch.testing.assert_close(directions.norm(a), torch.tensor([5.0, 1.0, 0.0]))
    torch.testing.assert_close(directions.cosine(a, b), torch.tensor([1.0, 0.0, 0.0]))


def test_pinned_weights():
    a_bar = torch.tensor([0.64])
    values = {name: weight(name, a_bar).item() for name in WEIGHTINGS}
    assert values == pytest.approx(
        {
            "sigma2": 0.36,
            "uniform": 1.0,
            "sqrt_alpha": 0.8,
            "alpha_sigma2": 0.288,
            "velocity": 1.75,
            "sigma_over_alpha": 0.75,
        }
    )
    assert weight("sigma2", torch.rand(5)).shape == (5, 1, 1, 1)
