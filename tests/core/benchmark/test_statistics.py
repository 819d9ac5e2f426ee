from __future__ import annotations

import numpy as np
import pytest
from tbsd_pack.tbsd_core.benchmark.statistics import cluster_bootstrap, paired_difference


def test_one_run_per_prompt_is_the_ordinary_bootstrap_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).normal(0.3, 1.0, 25)
    low, high = cluster_bootstrap(values, range(25), seed=3)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=4).confidence_interval
    assert low == pytest.approx(theirs.low, abs=0.03) and high == pytest.approx(theirs.high, abs=0.03)


def test_the_width_is_that_of_the_two_stage_variance():
    """Var of the resampled mean = population variance between prompt means / k + mean variance inside / (k m)."""
    generator = np.random.default_rng(2)
    k, m = 30, 6
    runs = generator.normal(0, 1, (k, 1)) + generator.normal(0, 0.5, (k, m))
    low, high = cluster_bootstrap(runs.ravel(), np.repeat(range(k), m))
    variance = runs.mean(1).var() / k + runs.var(1).mean() / (k * m)
    assert (high - low) / 2 == pytest.approx(1.96 * variance**0.5, rel=0.05)
    naive = 1.96 * (runs.var() / (k * m)) ** 0.5
    assert (high - low) / 2 > 1.5 * naive, "runs of one prompt are not independent"


def test_intervals_are_reproducible_and_bracket_the_mean():
    values, prompts = [1.0, 2.0, 3.0, 5.0], ["a", "a", "b", "b"]
    assert cluster_bootstrap(values, prompts) == cluster_bootstrap(values, prompts)
    low, high = cluster_bootstrap(values, prompts)
    assert low < 2.75 < high
    assert cluster_bootstrap([0.4] * 4, prompts) == (pytest.approx(0.4), pytest.approx(0.4))


def test_coverage_is_near_the_level():
    """Of 200 data sets with 12 prompts, about 95 in 100 intervals hold the true mean (percentile: a little less)."""
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        runs = generator.normal(0, 1, (12, 1)) + generator.normal(0, 1, (12, 4))
        low, high = cluster_bootstrap(runs.ravel(), np.repeat(range(12), 4), resamples=1000)
        hits += low <= 0 <= high
    assert 0.87 < hits / 200 < 0.99


def test_differences_are_paired_by_prompt_and_seed():
    a = {("x", 0, 0): 3.0, ("x", 1, 1): 5.0, ("y", 0, 0): 10.0, ("z", 0, 0): float("nan")}
    b = {("x", 0, 0): 1.0, ("x", 1, 1): 1.0, ("y", 0, 0): 9.0, ("z", 0, 0): 1.0, ("w", 0, 0): 0.0}
    found = paired_difference(a, b)
    assert found["n"] == 3
    assert found["mean"] == pytest.approx(((2 + 4) / 2 + 1) / 2), "prompts weigh the same"
    assert found["low"] <= found["mean"] <= found["high"]
    assert paired_difference(a, {}) is None


@pytest.mark.parametrize("values, prompts", [([], []), ([1.0], ["a", "b"]), ([float("nan")], ["a"])])
def test_nothing_to_resample_is_refused(values, prompts):
    with pytest.raises(ValueError, match="finite values"):
        cluster_bootstrap(values, prompts)
