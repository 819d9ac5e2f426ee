"""Paired differences between methods, with confidence intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

LEVEL, RESAMPLES = 0.95, 10_000


def cluster_bootstrap(
    values: Sequence[float],  # one per run
    clusters: Sequence[Hashable],  # the prompt of each run
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval (low, high) of the mean of `values` under a two-stage bootstrap.

    Each resample draws as many prompts as there are, with replacement, and inside each drawn prompt as many
    of its runs as it has, with replacement; its statistic is the mean over prompts of the means inside them.
    Runs of one prompt resemble each other, and treating them as independent would make the interval too
    narrow. Percentile intervals of few prompts are themselves a little too narrow (by about the factor
    sqrt((k - 1) / k) for k prompts).

    Raises:
        ValueError: no values, values that are not finite, or lists of different lengths.
    """
    data = np.asarray(values, dtype=float)
    if len(data) == 0 or len(data) != len(clusters) or not np.isfinite(data).all():
        raise ValueError(f"cluster_bootstrap needs finite values with a cluster each, got {data} and {clusters}.")
    groups = [data[[c == name for c in clusters]] for name in dict.fromkeys(clusters)]
    generator = np.random.default_rng(seed)
    # means of resampled runs: [prompts, draws] where each resample uses as many draws as there are prompts
    k = len(groups)
    chosen = generator.integers(0, k, (resamples, k))
    means = np.empty((resamples, k))
    for i, group in enumerate(groups):
        here = chosen == i
        draws = generator.integers(0, len(group), (int(here.sum()), len(group)))
        means[here] = group[draws].mean(1)
    low, high = np.quantile(means.mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    method: Mapping[tuple, float],  # value by (prompt, seed, timestep seed)
    reference: Mapping[tuple, float],
    seed: int = 0,
) -> dict[str, Any] | None:
    """Mean of method - reference over their common runs, with its interval and n; None if they share no run.

    The mean is taken over prompts, of the means within each; with equally many runs per prompt it is the plain mean.
    """
    shared = [key for key in method if key in reference]
    shared = [key for key in shared if np.isfinite(method[key]) and np.isfinite(reference[key])]
    if not shared:
        return None
    differences = [method[key] - reference[key] for key in shared]
    prompts = [key[0] for key in shared]
    inside = [np.mean([d for d, p in zip(differences, prompts, strict=True) if p == name]) for name in set(prompts)]
    low, high = cluster_bootstrap(differences, prompts, seed=seed)
    return {"mean": float(np.mean(inside)), "low": low, "high": high, "n": len(shared)}
