from __future__ import annotations

import pytest
import torch
from guidance_properties import a_source, equal_variances, gradient
from tbsd_pack.tbsd_core.guidance import GuidanceInputs
from tbsd_pack.tbsd_core.guidance.dds import DDS, DDSConfig


@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5])
def test_the_fixed_point_is_the_source_moved_by_the_difference_of_the_prompts(scale):
    prior, means = equal_variances()
    moved = a_source() + scale * (means["target"] - means["source"])
    method = DDS(DDSConfig(guidance_scale=scale))
    assert float(gradient(method, prior, moved, a_source()).abs().max()) < 1e-5
    assert scale == 0 or float(gradient(method, prior, a_source(), a_source()).abs().max()) > 1e-3


def test_the_drawn_noise_cancels():
    """On a Gaussian it does altogether, and the residual of SDS does not."""
    prior, _ = equal_variances()
    one, other = (gradient(DDS(), prior, a_source() + 0.1, a_source(), seed=seed) for seed in (0, 1))
    torch.testing.assert_close(one, other)


def test_pinned_value():
    def value(v: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), v)

    eps = {"target": value(3.0), "uncond": value(1.0), "source": value(2.0), "source_uncond": value(1.5)}
    out = DDS(DDSConfig(weighting="sigma2"))(
        GuidanceInputs(eps, value(0.5), torch.tensor([0.81]), torch.tensor([0]), 0.0)
    )
    assert out.grad.item() == pytest.approx(0.19 * ((1 - 1.5) + 7.5 * (2 - 0.5)))
