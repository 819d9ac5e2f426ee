"""Means, spreads and paired differences of measurements that belong to prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int  # pairs

    @property
    def separated(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the latter is 0 for a single value."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0


def paired_difference(
    a: Mapping[tuple, float],  # measurements by key; the first part of a key is the prompt
    b: Mapping[tuple, float],
    seed: int = 0,
) -> Difference:
    """Mean of a - b over the keys that both have, with a 95 % interval by bootstrap.

    Results of one prompt resemble each other, so prompts are drawn with replacement first and their
    pairs within them second (two-stage bootstrap: Davison and Hinkley, Bootstrap Methods, section 3.8).
    With a handful of prompts such intervals are on the narrow side.

    Raises:
        ValueError: they have no key in common.
    """
    keys = [k for k in a if k in b]
    if not keys:
        raise ValueError("There is nothing to pair: the two methods have no finished result in common.")
    clusters: dict[object, list[float]] = {}
    for key in keys:
        clusters.setdefault(key[0], []).append(a[key] - b[key])
    groups = [np.asarray(v) for v in clusters.values()]
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        drawn = rng.integers(len(groups), size=len(groups))
        sample = np.concatenate([rng.choice(groups[g], size=len(groups[g])) for g in drawn])
        means[i] = sample.mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(np.mean([a[k] - b[k] for k in keys])), float(low), float(high), len(keys))
