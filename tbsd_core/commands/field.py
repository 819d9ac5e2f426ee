"""`benchmark nerf`: the capacity and speed of fields; `benchmark texture`: the quality of painted meshes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import atomic_path
from .options import add_noise_argument

if TYPE_CHECKING:
    from .options import Commands


def register(benchmarks: Commands) -> None:
    """Add the command to the sub-parsers of `benchmark`."""
    parser = benchmarks.add_parser("nerf", help="encodings fitted to true views: quality, rays per second, memory")
    parser.add_argument("--shape", default="house", help="object of the small world (default %(default)s)")
    parser.add_argument("--material", default="brick", help="its material (default %(default)s)")
    parser.add_argument("--steps", type=int, default=150, help="steps of the fit (default %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="pixels of a view (default %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument("--settings", nargs="+", help="rows to measure (default: all but hash)")
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.set_defaults(action=field)
    parser = benchmarks.add_parser("texture", help="given meshes painted by TBSD, against the prior's own pictures")
    parser.add_argument("--steps", type=int, help="steps of each run (default: the preset's)")
    parser.add_argument("--prompts", nargs="+", help='default: four objects; "a MATERIAL OBJECT"')
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="default: 0 1")
    add_noise_argument(parser)
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    parser.set_defaults(action=texture)


def field(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from ..benchmark.field import FieldConfig, measure_field, table

    config = FieldConfig(
        shape=arguments.shape,
        material=arguments.material,
        n_steps=arguments.steps,
        size=arguments.size,
        device=arguments.device,
        settings=tuple(arguments.settings or FieldConfig.settings),
    )
    report = measure_field(config, lambda row: print(f"{row['setting']} done", flush=True))
    return _finish(report, table(report), arguments.json)


def texture(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from ..benchmark.texture import TextureConfig, measure_texture, table

    chosen = {} if arguments.prompts is None else {"prompts": tuple(arguments.prompts)}
    config = TextureConfig(seeds=tuple(arguments.seeds), n_steps=arguments.steps, noise=arguments.noise, **chosen)
    report = measure_texture(config, lambda row: print(f"{row['prompt']} done", flush=True))
    return _finish(report, table(report), arguments.json)


def _finish(report: dict, table: str, file: Path | None) -> int:
    print(table)
    if file is not None:
        with atomic_path(file) as path:
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0
