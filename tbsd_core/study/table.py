"""The numbers of a study as CSV (every cell), JSON (cells and summary) and Markdown (the summary)."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..atomic import atomic_path
from .jobs import Job, Report

COSTS = ("steps", "evaluations", "seconds")
HEAD = ("method", "prompt", "seed", "timestep_seed", "status")

Row = dict[str, Any]  # of a cell: HEAD, COSTS, "error", and its metrics


def table_row(
    method: str,  # its label
    prompt: str,
    seeds: tuple[int, int],  # of everything, and of the timesteps
    *,
    steps: int | None = None,
    evaluations: float | None = None,  # noise predictions per view
    seconds: float | None = None,
    metrics: Mapping[str, float | None] | None = None,
    error: str | None = None,  # why it failed
) -> Row:
    """One cell; metrics that are not finite become None."""
    if evaluations is not None and evaluations == int(evaluations):
        evaluations = int(evaluations)
    status = "failed" if error else "finished"
    head = zip(HEAD, (method, prompt, *seeds, status), strict=True)
    costs = zip(COSTS, (steps, evaluations, seconds), strict=True)
    finite = {k: v if v is not None and math.isfinite(v) else None for k, v in (metrics or {}).items()}
    return {**dict(head), **dict(costs), "error": error, **finite}


def job_row(job: Job, report: Report | str) -> Row:
    """How a job ended; its seconds count the optimisation alone, if they are known."""
    if isinstance(report, str):
        return table_row(job.label, job.prompt, job.seeds, steps=job.n_steps, error=report)
    seconds = report["seconds"]
    return table_row(
        job.label,
        job.prompt,
        job.seeds,
        steps=job.n_steps,
        evaluations=report.get("evaluations"),
        seconds=seconds.get("optimize", seconds["total"]),
        metrics=report.get("metrics"),
    )


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """Every metric that a row has, in the order in which they appear."""
    fixed = {*HEAD, *COSTS, "error"}
    return list(dict.fromkeys(name for row in rows for name in row if name not in fixed))


def summarize(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Per method: cells, failures, costs, and of each metric mean, sd (sample) and n over the cells that have it."""
    summary: dict[str, dict[str, Any]] = {}
    names = (*COSTS, *metrics_of(rows))
    for label in dict.fromkeys(row["method"] for row in rows):
        own = [r for r in rows if r["method"] == label]
        done = [r for r in own if r["status"] == "finished"]
        numbers: dict[str, Any] = {}
        for name in names:
            values = [r[name] for r in done if r.get(name) is not None]
            if values:
                sd = stdev(values) if len(values) > 1 else None
                numbers[name] = {"mean": fmean(values), "sd": sd, "n": len(values)}
        summary[label] = {"cells": len(own), "failed": len(own) - len(done), "numbers": numbers}
    return summary


def markdown(rows: Sequence[Row]) -> str:
    """The summary as a table, and the reasons of the cells that failed."""
    summary = summarize(rows)
    names = [*COSTS, *metrics_of(rows)]
    lines = [f"| method | cells | {' | '.join(n.replace('_', ' ') for n in names)} |", "|---" * (len(names) + 2) + "|"]
    for label, entry in summary.items():
        cells = f"{entry['cells'] - entry['failed']}/{entry['cells']}"
        values = " | ".join(formatted(entry["numbers"].get(name)) for name in names)
        name = label.replace("|", r"\|")  # which a prompt may hold
        lines.append(f"| {name} | {cells} | {values} |")
    if any(entry["cells"] > 1 for entry in summary.values()):
        lines += ["", "Mean and standard deviation over the finished cells of a method (prompts and seeds)."]
    return "\n".join(lines + failures(rows)) + "\n"


def failures(rows: Sequence[Row]) -> list[str]:
    """Lines that say which cells failed, and why."""
    failed = [f"- {r['method']} on {r['prompt']!r}, seed {r['seed']}: {r['error']}" for r in rows if r["error"]]
    return ["", "Failed:", *failed] if failed else []


def formatted(number: dict[str, Any] | None) -> str:
    """Mean and sd in four digits; "-" where there is none."""
    if number is None:
        return "-"
    mean = f"{number['mean']:.4g}"
    return f"{mean} ± {number['sd']:.2g}" if number["sd"] else mean


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write every cell as a line."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*HEAD, *COSTS, *metrics_of(rows), "error"])
        writer.writeheader()
        writer.writerows(rows)


def write_tables(rows: Sequence[Row], out: Path, settings: Mapping[str, object]) -> list[str]:
    """Write table.csv, table.json (with `settings`) and table.md; returns their names."""
    write_csv(rows, out / "table.csv")
    with atomic_path(out / "table.json") as path:
        stored = {"settings": settings, "summary": summarize(rows), "cells": list(rows)}
        path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    with atomic_path(out / "table.md") as path:
        path.write_text(markdown(rows), encoding="utf-8")
    return ["table.csv", "table.json", "table.md"]
