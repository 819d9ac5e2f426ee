from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.guidance import TimestepConfig
from tbsd_pack.tbsd_core.guidance.timesteps import sample_timesteps, timestep_range


def draw(progress: float, batch: int = 4000, seed: int = 0, config: TimestepConfig | None = None) -> torch.Tensor:
    return sample_timesteps(
        config or TimestepConfig(), 1000, batch, progress, torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize(("progress", "high"), [(0.0, 979), (0.4, 739), (0.8, 500), (1.0, 500)])
def test_range_is_annealed(progress, high):
    assert timestep_range(TimestepConfig(), 1000, progress) == (20, high)
    t = draw(progress)
    assert t.dtype == torch.long and t.shape == (4000,)
    assert 20 <= t.min() <= 30 and high - 10 <= t.max() <= high


def test_uniform_within_the_range():
    counts = torch.histc(draw(0.0, batch=96000).float(), bins=10, min=20, max=980)
    assert (counts / 9600 - 1).abs().max() < 0.05


def test_deterministic_under_the_generator():
    assert torch.equal(draw(0.3), draw(0.3))
    assert not torch.equal(draw(0.3), draw(0.3, seed=1))


def test_no_annealing_and_single_level():
    constant = TimestepConfig(t_max_end=0.98)
    assert timestep_range(constant, 1000, 1.0) == (20, 979)
    at_once = TimestepConfig(anneal_end=0.0)
    assert timestep_range(at_once, 1000, 0.0) == (20, 500)
    single = TimestepConfig(t_min=0.5, t_max=0.5, t_max_end=0.5)
    assert draw(0.5, batch=3, config=single).tolist() == [500, 500, 500]
    whole = TimestepConfig(t_min=0.0, t_max=1.0, t_max_end=1.0)
    assert timestep_range(whole, 1000, 1.0) == (0, 999)


@pytest.mark.parametrize("progress", [0.0, 0.04, 0.25, 0.49, 1.0])
def test_hifa_falls_with_the_root_of_the_progress_and_draws_nothing(progress):
    """t = t_max - (t_max - t_min) sqrt(step / N), from 0.98 to 0.3."""
    config = TimestepConfig(t_max=0.98, t_max_end=0.3, anneal_end=1.0, anneal="sqrt", draw="highest")
    expected = round(999 * (0.98 - (0.98 - 0.3) * progress**0.5))
    assert draw(progress, batch=5, config=config).tolist() == [expected] * 5


def test_the_highest_level_falls_linearly():
    config = TimestepConfig(t_max_end=0.25, anneal_end=1.0, draw="highest")
    assert timestep_range(config, 1000, 0.5) == (614, 614)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"t_min": -0.1}, "t_min must be"),
        ({"t_max": 0.01}, "t_max must be in"),
        ({"t_max_end": 1.2}, "t_max_end must be in"),
        ({"anneal_end": 2.0}, "anneal_end must be"),
        ({"anneal": "cosine"}, "anneal must be one of linear, sqrt, got 'cosine'"),
        ({"draw": "lowest"}, "draw must be one of uniform, highest, got 'lowest'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TimestepConfig(**settings)
