from __future__ import annotations

import pytest
import torch
from guidance_properties import ALL, make_inputs
from tbsd_pack.tbsd_core.guidance.pull import Pull, PullConfig


@pytest.mark.parametrize("check", ALL, ids=lambda c: c.__name__)
def test_property(check):
    check(Pull())


def test_it_is_the_difference_of_two_predictions():
    inputs = make_inputs()
    expected = 2.0 * (inputs.eps["target"] - inputs.eps["uncond"])
    torch.testing.assert_close(Pull(PullConfig(guidance_scale=2.0, weighting="uniform"))(inputs).grad, expected)
