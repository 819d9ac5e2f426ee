"""The quality benchmark: `python -m tbsd_core benchmark quality`.

All configurations of configurations.py on held-out prompts of the small world, against its ground truth.
Each has the preset of its own method; prompts, seeds, noise, cameras and numbers of steps are the same for all.
So they are compared run by run: the difference to TBSD on the same prompt and seed, with an interval that takes
the prompts as the units (statistics.py). The small world says whether the code does what the formulas say. It
does not say how methods rank on a real checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..configuration import replaced
from ..experiment import ExperimentConfig, check_config, config_from_plain, default_config, versions
from ..metrics.glossary import GLOSSARY
from ..study import InlinePool, Job, Pool, ProcessPool, Report, Row, job_of, job_row, of_cell, run_jobs, summarize
from ..study.jobs import slug
from ..study.table import failures, formatted, metrics_of
from .configurations import CONFIGURATIONS, DIMENSIONS, QUICK, REFERENCE, SPLITS, TBSD_SCALE, Configuration, Dimension
from .statistics import LEVEL, RESAMPLES, paired_difference

BATCH = 8  # pictures of one method and prompt that are optimised side by side
RETRIES = 2  # of a cell whose process died, say
RIGHT = 0.5  # posterior probability below which a result counts as another object or material
# ratios have their best value at 1: their distance from it can be compared, they themselves cannot
DISTANCES = {"saturation_error": "saturation_ratio", "high_frequency_error": "high_frequency_ratio"}
# which end is better, to read the tables; a measure without an entry has none
BETTER = {name: meaning.better for name, meaning in GLOSSARY.items() if meaning.better}


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    split: str = "heldout"  # a name in configurations.SPLITS
    dimensions: tuple[str, ...] = ("2d", "3d")
    quick: bool = False  # one prompt, two seeds, 60 steps: to see that it runs
    prior: str = "learned"
    n_steps: int | None = None  # instead of each dimension's own
    methods: tuple[str, ...] = ()  # names in CONFIGURATIONS; empty: those that a dimension compares
    prompts: tuple[str, ...] = ()  # of the split; empty: each dimension's own
    seeds: tuple[int, ...] = ()  # empty: each dimension's own
    noise: float = 0.0  # on the gradient, see guidance.rehearsal
    workers: int = 2  # processes of one thread, >= 1

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}.")
        unknown = [d for d in self.dimensions if d not in DIMENSIONS]
        if unknown or not self.dimensions:
            raise ValueError(f"dimensions must be of {', '.join(DIMENSIONS)}, got {self.dimensions}.")
        unknown = [m for m in self.methods if m not in CONFIGURATIONS]
        if unknown:
            raise ValueError(f"methods must be of {', '.join(CONFIGURATIONS)}, got {self.methods}.")
        strange = [p for p in self.prompts if p not in SPLITS[self.split]]
        if strange:
            raise ValueError(f"prompts must be of {', '.join(SPLITS[self.split])}, got {self.prompts}.")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}.")


def plan(config: QualityConfig, name: str) -> list[Job]:
    """The jobs of one dimension. Jobs of one method and prompt follow each other."""
    dimension = _dimension(config, name)
    return [
        job_of(label, of_cell(base, prompt, seed, seed + stream if stream else None))
        for prompt in config.prompts or SPLITS[config.split][: dimension.n_prompts]
        for label, entry in CONFIGURATIONS.items()
        if (label in config.methods if config.methods else name == "2d" or entry.in_3d)
        for base in [_configured(entry, prompt, dimension, config)]
        for stream in dimension.timestep_streams
        for seed in dimension.seeds
    ]


def _dimension(config: QualityConfig, name: str) -> Dimension:
    dimension = replace(DIMENSIONS[name], **QUICK) if config.quick else DIMENSIONS[name]
    asked = {"n_steps": config.n_steps, "seeds": config.seeds}
    return replace(dimension, **{name: value for name, value in asked.items() if value not in (None, ())})


def _configured(entry: Configuration, prompt: str, dimension: Dimension, of: QualityConfig) -> ExperimentConfig:
    """The whole preset of its method, changed as the tables say."""
    config = default_config(prompt, dimension.scene, entry.method, of.prior, dimension.n_steps)
    config = replace(config, rehearsal_noise=of.noise)
    # short runs in which every step goes through the VAE: nothing but the method may make a difference
    config = replace(config, optim=replace(config.optim, latent_until=0.0))
    scale = default_config(prompt, dimension.scene, "tbsd", of.prior).guidance.guidance_scale
    for name, value in entry.settings.items():
        config = replaced(config, name, scale if value == TBSD_SCALE else value)
    return config


def measure_quality(
    config: QualityConfig,
    out: Path,
    on_steps: Callable[[int], None] = lambda n: None,
    on_result: Callable[[Job, Report | str], None] = lambda job, report: None,
) -> dict[str, Any]:
    """Run the unfinished jobs in `out`, and return the report."""
    start = time.perf_counter()

    def make_pool() -> Pool:
        steps = lambda job, n_steps: on_steps(n_steps)  # noqa: E731
        if config.workers == 1:
            return InlinePool(on_steps=steps)
        return ProcessPool(config.workers, in_full=False, on_steps=steps)

    def take(job: Job, report: Report | str, fresh: bool) -> None:
        if not fresh:
            on_steps(job.n_steps or 0)
        on_result(job, report)

    dimensions = {}
    for name in config.dimensions:
        jobs = plan(config, name)
        for job in {(job.label, job.prompt): job for job in jobs}.values():
            check_config(config_from_plain(job.config))
        given = {"": config.prior, "noise": config.noise, "steps": config.n_steps}  # each with a folder of its own
        usual = {"": "learned", "noise": 0, "steps": None}
        marks = "".join(f"_{k}_{v}".replace("__", "_") for k, v in given.items() if v != usual[k])
        folder = out / slug(f"{config.split}_{name}{marks}" + ("_quick" if config.quick else ""))
        reports = run_jobs(jobs, folder, make_pool, batch=BATCH, retries=RETRIES, anew=True, on_result=take)
        dimensions[name] = evaluate_dimension([job_row(job, reports[i]) for i, job in enumerate(jobs)])
    return {
        "split": config.split,
        "quick": config.quick,
        "prior": config.prior,
        "noise": config.noise,
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
    return sum(job.n_steps or 0 for name in config.dimensions for job in plan(config, name))


def evaluate_dimension(rows: Sequence[Row]) -> dict[str, Any]:
    """Summary, wrong identities and paired differences of one dimension's results."""
    rows = [_with_distances(row) for row in rows]
    finished = [row for row in rows if not row["error"]]
    summary = summarize(rows)
    wrong: dict[str, dict[str, int]] = {}
    for label in summary:
        own = [row for row in finished if row["method"] == label]
        wrong[label] = {"wrong": sum(is_wrong(row) for row in own), "of": len(own)}
    names = [*metrics_of(finished), "seconds"]
    by_label: dict[str, dict[str, dict[tuple, float]]] = {label: {n: {} for n in names} for label in summary}
    for row in finished:
        key = (row["prompt"], row["seed"], row["timestep_seed"])
        for name in names:
            value = row.get(name)
            by_label[row["method"]][name][key] = math.nan if value is None else value
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
    return {"summary": summary, "wrong_identity": wrong, "difference_to_reference": differences, "cells": rows}


def is_wrong(row: Row) -> bool:
    """Whether the picture shows an object or a material that the prompt does not name, or nothing recognisable."""
    identities = (row.get("identity_shape"), row.get("identity_material"))
    return not all(value is not None and value >= RIGHT for value in identities)


def _with_distances(row: Row) -> Row:
    return row | {name: abs(row[of] - 1) for name, of in DISTANCES.items() if row.get(of) is not None}


def markdown(report: dict[str, Any]) -> str:
    """The report as tables: means and spread, wrong identities, and paired differences."""
    lines = [f"# Quality benchmark, {report['split']} prompts, {report['prior']} prior"]
    if report.get("noise"):
        lines += ["", f"Rehearsal: each gradient has white noise of {report['noise']:g} times its RMS."]
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
        lines += failures(cells)
    return "\n".join(lines) + "\n"


def _metrics(summary: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for entry in summary.values() for name in entry["numbers"]))


def _difference(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return "-"
    clear = difference["low"] > 0 or difference["high"] < 0
    text = f"{difference['mean']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    return f"**{text}**" if clear else text
