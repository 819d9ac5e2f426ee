"""`python -m tbsd_core benchmark nerf`: what the fields hold, how fast they render and in how much memory."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..atomic import atomic_path


def register(benchmarks: Any) -> None:
    """Add the command to the sub-parsers of `benchmark`."""
    parser = benchmarks.add_parser("nerf", help="encodings fitted to true views: quality, rays per second, memory")
    parser.add_argument("--shape", default="house", help="object of the small world (default %(default)s)")
    parser.add_argument("--material", default="brick", help="its material (default %(default)s)")
    parser.add_argument("--steps", type=int, default=150, help="steps of the fit (default %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="pixels of a view (default %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument("--settings", nargs="+", help="rows to measure (default: all)")
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.set_defaults(action=field)


def field(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from ..benchmark.field import SETTINGS, FieldConfig, measure_field, table

    config = FieldConfig(
        shape=arguments.shape,
        material=arguments.material,
        n_steps=arguments.steps,
        size=arguments.size,
        device=arguments.device,
        settings=tuple(arguments.settings or SETTINGS),
    )
    report = measure_field(config, lambda row: print(f"{row['setting']} done", flush=True))
    print(table(report))
    if arguments.json is not None:
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0
