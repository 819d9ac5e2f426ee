"""benchmark quality: every method against the small world's ground truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..atomic import atomic_path
from ..optional import require


def register(benchmarks: Any) -> None:
    parser = benchmarks.add_parser("quality", help="every method against ground truth, with its spread")
    parser.add_argument("--json", type=Path, required=True, help="write the report to this file, and a table beside it")
    parser.add_argument(
        "--out", type=Path, default=Path("output/quality"), help="folder of the runs; finished ones are not run again"
    )
    parser.add_argument("--split", default="heldout", help="heldout or tuning (default %(default)s)")
    parser.add_argument("--only", nargs="+", default=["2d", "3d"], metavar="DIMENSION", help="2d, 3d (default: both)")
    parser.add_argument("--methods", nargs="+", help="labels of the table of methods (default: all)")
    parser.add_argument("--prompts", type=int, help="so many prompts of the split (default: all; 6 in 3D)")
    parser.add_argument("--steps", type=int, help="optimiser steps (default: the presets')")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default %(default)s)")
    parser.set_defaults(action=_quality)


def _quality(arguments: argparse.Namespace) -> int:
    from ..benchmark.quality import ENTRIES, QualityConfig, cells, markdown, measure_quality

    config = QualityConfig(
        split=arguments.split,
        dimensions=tuple(arguments.only),
        labels=tuple(arguments.methods or ENTRIES),
        n_prompts=arguments.prompts,
        n_steps=arguments.steps,
        workers=arguments.workers,
    )
    with require("tqdm").tqdm(total=len(cells(config)), desc="quality", unit="run", disable=None) as bar:

        def on_cell(cell: Any, failure: str) -> None:
            bar.update()
            if failure:
                bar.write(f"failed: {cell.name}: {failure}")

        report = measure_quality(config, arguments.out, on_cell)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    table = markdown(report)
    texts = {arguments.json: json.dumps(report, indent=1) + "\n", arguments.json.with_suffix(".md"): table}
    for path, text in texts.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(table)
    return 1 if report["failures"] else 0
