from __future__ import annotations

import numpy as np
import pytest
from tbsd_pack.tbsd_core.benchmark.statistics import mean_and_sd, paired_difference


def test_mean_and_sd_are_those_of_numpy():
    values = [0.2, 0.5, 0.9, 0.4]
    assert mean_and_sd(values) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert mean_and_sd([3.0]) == (3.0, 0.0)


def test_interval_of_independent_pairs_is_near_the_normal_one():
    rng = np.random.default_rng(1)
    difference = rng.normal(0.3, 1.0, 60)
    a = {(f"prompt {i}",): float(d) for i, d in enumerate(difference)}
    b = dict.fromkeys(a, 0.0)
    found = paired_difference(a, b)
    half = 1.96 * difference.std(ddof=1) / np.sqrt(60)
    assert found.mean == pytest.approx(difference.mean()) and found.n == 60
    # the second stage adds nothing where a prompt has one pair
    assert found.low == pytest.approx(difference.mean() - half, abs=0.05)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.05)


def test_pairs_of_one_prompt_do_not_count_as_independent():
    rng = np.random.default_rng(2)
    by_prompt = rng.normal(0.0, 1.0, 6)
    a = {(p, i): float(v + 0.01 * rng.normal()) for p, v in enumerate(by_prompt) for i in range(16)}
    clustered = paired_difference(a, dict.fromkeys(a, 0.0))
    naive = 2 * 1.96 * np.std(list(a.values())) / np.sqrt(len(a))
    assert clustered.high - clustered.low > 2 * naive


def test_only_common_keys_are_paired_and_signs_are_a_minus_b():
    a, b = {("x",): 2.0, ("y",): 5.0, ("z",): 9.0}, {("x",): 1.0, ("y",): 4.0}
    found = paired_difference(a, b)
    assert (found.mean, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 2)
    assert found.separated and not paired_difference({("x",): 1.0, ("y",): -1.0}, {("x",): 0.0, ("y",): 0.0}).separated
    with pytest.raises(ValueError, match="nothing to pair"):
        paired_difference(a, {("w",): 0.0})
