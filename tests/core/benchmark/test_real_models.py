"""Whether real models fit real cards: counted on meta tensors, without a weight."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tbsd_pack.tbsd_core.benchmark.card_plan import on_card
from tbsd_pack.tbsd_core.benchmark.meta import Counts, count, with_counts
from tbsd_pack.tbsd_core.experiment import Experiment, Needs, default_config, read_prior, with_preset
from tbsd_pack.tbsd_core.experiment.needs import needs_of


@pytest.fixture(scope="module")
def scene() -> Needs:
    """Of the NeRF of the preset, which is the same for both families: its own views, small ones."""
    config = with_preset(default_config("a brick house", "nerf", "tbsd"), "sd15")
    return needs_of(Experiment(config, read_prior(config)))


@cache
def counts(family: str, size: int, dtype: torch.dtype = torch.bfloat16) -> Counts:
    return count(family, size, n_conditions=3, vae_dtype=dtype)


def planned(scene: Needs, family: str, gb: int, dtype: torch.dtype = torch.bfloat16):
    optim = with_preset(default_config("a brick house", "nerf", "tbsd"), family, gb).optim
    assert optim.encode_size is not None
    some = counts(family, optim.encode_size, dtype)
    return on_card(with_counts(scene, some), some, optim.views_per_step, gb)


@pytest.mark.parametrize(
    "family, gb, dtype",
    [
        ("sd15", 6, torch.bfloat16),
        ("sd15", 6, torch.float32),  # before Ampere
        ("sd15", 8, torch.bfloat16),
        ("sd15", 8, torch.float32),
        ("sd15", 12, torch.bfloat16),
        ("sdxl", 12, torch.bfloat16),
        ("sdxl", 24, torch.bfloat16),
    ],
)
def test_the_preset_fits_the_card_with_the_whole_network_on_it(scene, family, gb, dtype):
    plan = planned(scene, family, gb, dtype)
    assert plan is not None and plan.offloaded == 0
    assert plan.taken <= gb * 2**30


def test_a_network_that_a_small_card_cannot_hold_is_partly_outside(scene):
    plan = planned(scene, "sdxl", 6)
    assert plan is not None and 0 < plan.offloaded < counts("sdxl", 768).network
    assert plan.fit.recompute and "GiB of the network outside" in plan.text
    large = counts("sdxl", 1024)
    assert on_card(with_counts(scene, large), large, 4, 2) is None


def test_counts_are_those_of_the_architectures():
    """860 and 2567 million parameters; four views at 512 pixels with gradient took 6.3 GiB by another count."""
    sd15 = counts("sd15", 512)
    assert sd15.network / 2 == pytest.approx(859.5e6, rel=1e-3)
    assert counts("sdxl", 768).network / 2 == pytest.approx(2567.5e6, rel=1e-3)
    assert 4 * sd15.encode.bytes / 2**30 == pytest.approx(6.0, rel=0.05)
    step = 4 * (sd15.encode.flops + sd15.predict.flops)
    assert step == pytest.approx(18.7e12, rel=0.02), "TFLOP of a step, as counted before"
    assert sd15.recomputed.bytes < 0.4 * sd15.encode.bytes
    assert sd15.encode.flops < sd15.recomputed.flops < 1.5 * sd15.encode.flops
