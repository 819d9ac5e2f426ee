from __future__ import annotations

import math

import pytest
import torch
from guidance_properties import VARIANCE, a_source, equal_variances, gradient
from tbsd_pack.tbsd_core.guidance import GuidanceInputs
from tbsd_pack.tbsd_core.guidance.ssd import SSD, SSDConfig


def test_the_fixed_point_weighs_its_branches_against_the_pull_to_the_source():
    prior, means = equal_variances()
    t, c = 400, SSDConfig()
    alpha, sigma = (float(x) for x in prior.schedule.alpha_sigma(torch.tensor([t])))
    kappa = sigma / (alpha**2 * VARIANCE + sigma**2)
    target, source, empty = (means[n] for n in ("target", "source", "uncond"))
    pushes = c.guidance_scale / 2 * (target - source) + c.source_scale / 2 * (source - empty)
    pushes = kappa * (pushes + c.enhance_scale * (target - empty))
    moved = a_source() + pushes / (kappa * c.source_scale / 2 + c.identity * math.exp(t / 1000))
    assert float(gradient(SSD(), prior, moved, a_source(), t).abs().max()) < 1e-4
    assert float(gradient(SSD(), prior, a_source(), a_source(), t).abs().max()) > 1e-2


def test_conditions_of_weight_zero_are_not_requested():
    assert SSD(SSDConfig(enhance_scale=0.0)).required(0.5) == ("target", "source_negative", "source_uncond")
    assert SSD(SSDConfig(source_scale=0.0)).required(0.5) == ("target", "source_negative", "uncond")


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    eps = {"target": 3.0, "uncond": 1.0, "source_negative": 2.5, "source_uncond": 0.5}
    eps = {name: value(v) for name, v in eps.items()}
    a_bar, t = torch.tensor([0.81]), torch.tensor([200])
    out = SSD()(GuidanceInputs(eps, value(0.5), a_bar, t, 0.0, 1000, value(0.7), value(0.4)))
    expected = 7.5 / 2 * 0.5 + 1.0 * 2.0 + 5.5 * 2.0 + 0.075 * math.exp(0.2) * 0.9 * 0.3
    assert out.grad.item() == pytest.approx(expected, rel=1e-5)
