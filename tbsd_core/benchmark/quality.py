"""The quality benchmark: `python -m tbsd_core benchmark quality`.

All configurations of configurations.py on held-out prompts of the small world, against its ground truth.
Methods share prompts, seeds, noise, timesteps and cameras, so they are compared run by run: the difference
to TBSD on the same prompt and seed, with an interval that takes the prompts as the units (statistics.py).
The small world says whether the code does what the formulas say. It does not say how methods rank on a
real checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..comparison import Cell, CellResult, read_result, summarize
from ..comparison.cells import slug
from ..comparison.table import formatted, metric_names, row
from ..configuration import replaced
from ..experiment import ExperimentConfig, check_config, default_config, versions
from .configurations import CONFIGURATIONS, DIMENSIONS, QUICK, REFERENCE, SPLITS, TBSD_SCALE, Dimension
from .statistics import LEVEL, RESAMPLES, paired_difference
from .workers import run_groups

RIGHT = 0.5  # posterior probability below which a result counts as another object or material
# ratios have their best value at 1: their distance from it can be compared, they themselves cannot
DISTANCES = {"saturation_error": "saturation_ratio", "high_frequency_error": "high_frequency_ratio"}
BETTER = {  # what is better, to read the tables; metrics that are not named have no better
    "identity_shape": "higher",
    "identity_material": "higher",
    "patch_distance": "lower",
    "patch_coverage": "lower",
    "silhouette_iou": "higher",
    "occupancy_iou": "higher",
    "view_error": "lower",
    "janus": "lower",
    "saturation_error": "lower",
    "high_frequency_error": "lower",
}


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    split: str = "heldout"  # a name in configurations.SPLITS
    dimensions: tuple[str, ...] = ("2d", "3d")
    quick: bool = False  # one prompt, two seeds, 60 steps: to see that it runs
    prior: str = "learned"
    n_steps: int | None = None  # instead of each dimension's own
    workers: int = 2  # processes of one thread, >= 1

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}.")
        unknown = [d for d in self.dimensions if d not in DIMENSIONS]
        if unknown or not self.dimensions:
            raise ValueError(f"dimensions must be of {', '.join(DIMENSIONS)}, got {self.dimensions}.")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}.")


def plan(config: QualityConfig, name: str) -> list[list[Cell]]:
    """The cells of one dimension, in groups of one method and prompt."""
    dimension = _dimension(config, name)
    groups = []
    for prompt in SPLITS[config.split][: dimension.n_prompts]:
        for label, entry in CONFIGURATIONS.items():
            if name == "2d" or entry.in_3d:
                base = _configured(label, prompt, dimension, config.prior)
                cells = [
                    Cell(label, _seeded(base, seed, stream))
                    for stream in dimension.timestep_streams
                    for seed in dimension.seeds
                ]
                groups.append(cells)
    return groups


def _dimension(config: QualityConfig, name: str) -> Dimension:
    dimension = replace(DIMENSIONS[name], **QUICK) if config.quick else DIMENSIONS[name]
    return dimension if config.n_steps is None else replace(dimension, n_steps=config.n_steps)


def _configured(label: str, prompt: str, dimension: Dimension, prior: str) -> ExperimentConfig:
    entry = CONFIGURATIONS[label]
    base = default_config(prompt, dimension.scene, "tbsd", prior, dimension.n_steps)
    # short runs in which every step goes through the VAE: nothing but the method may make a difference
    base = replace(base, optim=replace(base.optim, latent_until=0.0))
    scale = base.guidance.guidance_scale
    own = default_config(prompt, dimension.scene, entry.method, prior)
    config = replace(base, guidance_name=entry.method, guidance=own.guidance)  # everything else is shared
    for name, value in entry.settings.items():
        config = replaced(config, name, scale if value == TBSD_SCALE else value)
    return config


def _seeded(config: ExperimentConfig, seed: int, stream: int) -> ExperimentConfig:
    optim = replace(config.optim, seed=seed, timestep_seed=seed + stream if stream else None)
    return replace(config, optim=optim, scene=replace(config.scene, seed=seed))


def measure_quality(
    config: QualityConfig,
    out: Path,
    on_steps: Callable[[int], None] = lambda n: None,
    on_result: Callable[[CellResult], None] = lambda result: None,
) -> dict[str, Any]:
    """Run what is not finished in `out`, and return the report."""
    start = time.perf_counter()
    dimensions = {}
    for name in config.dimensions:
        groups = plan(config, name)
        for group in groups:
            check_config(group[0].config)
        folder = out / slug(f"{config.split}_{name}" + ("_quick" if config.quick else ""))
        results: list[CellResult] = []
        waiting = []
        for group in groups:
            found = [read_result(folder, cell) for cell in group]
            done = [r for r in found if r is not None]
            results += done
            on_steps(sum(r.cell.config.optim.n_steps for r in done))
            missing = [cell for cell, r in zip(group, found, strict=True) if r is None]
            # 3D scenes run one by one: as tasks of their own they spread over the workers
            waiting += [[cell] for cell in missing] if name == "3d" else [missing] if missing else []

        def take(result: CellResult, results: list[CellResult] = results) -> None:
            results.append(result)
            on_result(result)

        run_groups(waiting, folder, config.workers, on_steps, take)
        order = {cell: i for i, cell in enumerate(repr(cell) for group in groups for cell in group)}
        results.sort(key=lambda r: order[repr(r.cell)])
        dimensions[name] = evaluate_dimension(results)
    return {
        "split": config.split,
        "quick": config.quick,
        "prior": config.prior,
        "reference": REFERENCE,
        "interval": f"{LEVEL:.0%}, two-stage bootstrap over prompts and their runs, {RESAMPLES} resamples, seed 0",
        "dimensions": dimensions,
        "seconds_of_this_call": time.perf_counter() - start,
        "workers": config.workers,
        "threads": torch.get_num_threads() if config.workers == 1 else 1,
        "versions": versions(),
    }


def total_steps(config: QualityConfig) -> int:
    """Steps of all cells, for a progress bar."""
    groups = [group for name in config.dimensions for group in plan(config, name)]
    return sum(cell.config.optim.n_steps for group in groups for cell in group)


def evaluate_dimension(results: Sequence[CellResult]) -> dict[str, Any]:
    """Summary, wrong identities and paired differences of one dimension's results."""
    results = [_with_distances(r) for r in results]
    finished = [r for r in results if not r.error]
    summary = summarize(results)
    wrong: dict[str, list[int]] = {}
    for label in summary:
        own = [r for r in finished if r.cell.label == label]
        wrong[label] = [sum(is_wrong(r.metrics) for r in own), len(own)]
    names = [*metric_names(finished), "seconds"]
    by_label: dict[str, dict[str, dict[tuple, float]]] = {label: {n: {} for n in names} for label in summary}
    for r in finished:
        key = (r.cell.prompt, *r.cell.seeds)
        for name in names:
            value = r.seconds if name == "seconds" else r.metrics.get(name, math.nan)
            by_label[r.cell.label][name][key] = value
    differences = {}
    if REFERENCE in by_label:
        differences = {
            label: {
                name: d
                for name in names
                if (d := paired_difference(values[name], by_label[REFERENCE][name])) is not None
            }
            for label, values in by_label.items()
            if label != REFERENCE
        }
    return {
        "summary": summary,
        "wrong_identity": {label: {"wrong": w, "of": n} for label, (w, n) in wrong.items()},
        "difference_to_reference": differences,
        "cells": [row(r) for r in results],
    }


def is_wrong(metrics: Mapping[str, float]) -> bool:
    """Whether the picture shows another object or another material than the prompt names."""
    return not (metrics["identity_shape"] >= RIGHT and metrics["identity_material"] >= RIGHT)


def _with_distances(result: CellResult) -> CellResult:
    added = {name: abs(result.metrics[of] - 1) for name, of in DISTANCES.items() if of in result.metrics}
    return replace(result, metrics=result.metrics | added)


def markdown(report: dict[str, Any]) -> str:
    """The report as tables: means and spread, wrong identities, and paired differences."""
    lines = [f"# Quality benchmark, {report['split']} prompts, {report['prior']} prior"]
    if report["quick"]:
        lines += ["", "**Quick run: one prompt, two seeds, 60 steps. It shows that the benchmark runs, nothing else.**"]
    for name, part in report["dimensions"].items():
        summary, cells = part["summary"], part["cells"]
        metrics = [m for m in _metrics(summary) if m in BETTER]
        others = [m for m in _metrics(summary) if m not in BETTER and m not in ("steps", "evaluations")]
        prompts = list(dict.fromkeys(c["prompt"] for c in cells))
        steps = sorted({c["steps"] for c in cells})
        lines += ["", f"## {name.upper()}: {len(prompts)} prompts, {len(cells)} runs of {steps[0]} steps", ""]
        lines += [f"Prompts: {', '.join(prompts)}. Mean ± sd over runs.", ""]
        for columns in (metrics, others):
            shown = [f"{m.replace('_', ' ')}{f' ({BETTER[m]} is better)' if m in BETTER else ''}" for m in columns]
            lines += [f"| method | runs | wrong identity | {' | '.join(shown)} |", "|---" * (len(shown) + 3) + "|"]
            for label, entry in summary.items():
                counted = part["wrong_identity"][label]
                values = " | ".join(formatted(entry["numbers"].get(m)) for m in columns)
                runs = f"{entry['cells'] - entry['failed']}/{entry['cells']}"
                lines.append(f"| {label} | {runs} | {counted['wrong']}/{counted['of']} | {values} |")
            lines.append("")
        lines += [f"Method minus {report['reference']} on the same prompt and seed, with {report['interval']}:", ""]
        lines += [f"| method | {' | '.join(m.replace('_', ' ') for m in metrics)} |", "|---" * (len(metrics) + 1) + "|"]
        for label, by_metric in part["difference_to_reference"].items():
            lines.append(f"| {label} | {' | '.join(_difference(by_metric.get(m)) for m in metrics)} |")
        failures = [c for c in cells if c["error"]]
        if failures:
            lines += ["", "Failed:"]
            lines += [f"- {c['method']} on {c['prompt']!r}, seed {c['seed']}: {c['error']}" for c in failures]
    return "\n".join(lines) + "\n"


def _metrics(summary: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for entry in summary.values() for name in entry["numbers"]))


def _difference(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return "-"
    clear = difference["low"] > 0 or difference["high"] < 0
    text = f"{difference['mean']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    return f"**{text}**" if clear else text
