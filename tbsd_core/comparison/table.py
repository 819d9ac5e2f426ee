"""A comparison as CSV (every cell), JSON (cells and summary) and Markdown (the summary)."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..atomic import atomic_path
from .cells import CellResult

COSTS = ("steps", "evaluations", "seconds")
HEAD = ("method", "prompt", "seed", "timestep_seed", "status")


def metric_names(results: Sequence[CellResult]) -> list[str]:
    """Every metric that a cell has, in the order in which they appear."""
    return list(dict.fromkeys(name for result in results for name in result.metrics))


def row(result: CellResult) -> dict[str, Any]:
    """One cell as plain data; numbers that are not finite become None."""
    seed, timestep_seed = result.cell.seeds
    values = {
        "method": result.cell.label,
        "prompt": result.cell.prompt,
        "seed": seed,
        "timestep_seed": timestep_seed,
        "status": "failed" if result.error else "finished",
        "steps": result.cell.config.optim.n_steps,
        "evaluations": result.evaluations,
        "seconds": result.seconds,
        "error": result.error,
    }
    return values | {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}


def summarize(results: Sequence[CellResult]) -> dict[str, dict[str, Any]]:
    """Per method: cells, failures, costs, and of each metric mean, sd (sample) and n over the cells that have it."""
    return summarize_rows([row(r) for r in results])


def metrics_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Every metric that a row has, in the order in which they appear."""
    fixed = {*HEAD, *COSTS, "error"}
    return list(dict.fromkeys(name for row in rows for name in row if name not in fixed))


def summarize_rows(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """As `summarize`, of rows that `row` or another command made."""
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


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The summary as a table, and the reasons of the cells that failed."""
    summary = summarize_rows(rows)
    names = [*COSTS, *metrics_of(rows)]
    lines = [f"| method | cells | {' | '.join(n.replace('_', ' ') for n in names)} |", "|---" * (len(names) + 2) + "|"]
    for label, entry in summary.items():
        cells = f"{entry['cells'] - entry['failed']}/{entry['cells']}"
        values = " | ".join(formatted(entry["numbers"].get(name)) for name in names)
        lines.append(f"| {label} | {cells} | {values} |")
    if any(entry["cells"] > 1 for entry in summary.values()):
        lines += ["", "Mean and standard deviation over the finished cells of a method (prompts and seeds)."]
    failures = [r for r in rows if r["error"]]
    if failures:
        lines += ["", "Failed:"]
        lines += [f"- {r['method']} on {r['prompt']!r}, seed {r['seed']}: {r['error']}" for r in failures]
    return "\n".join(lines) + "\n"


def formatted(number: dict[str, Any] | None) -> str:
    """Mean and sd in four digits; "-" where there is none."""
    if number is None:
        return "-"
    mean = f"{number['mean']:.4g}"
    return f"{mean} ± {number['sd']:.2g}" if number["sd"] else mean


def write_tables(results: Sequence[CellResult], out: Path, settings: dict[str, Any]) -> list[str]:
    """Write table.csv, table.json (with `settings`) and table.md; returns their names."""
    return write_rows([row(r) for r in results], out, settings)


def write_rows(rows: Sequence[dict[str, Any]], out: Path, settings: dict[str, Any]) -> list[str]:
    """As `write_tables`, of rows that `row` or another command made."""
    columns = [*HEAD, *COSTS, *metrics_of(rows), "error"]
    with atomic_path(out / "table.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(out / "table.json") as path:
        stored = {"settings": settings, "summary": summarize_rows(rows), "cells": list(rows)}
        path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    with atomic_path(out / "table.md") as path:
        path.write_text(markdown(rows), encoding="utf-8")
    return ["table.csv", "table.json", "table.md"]
