"""`python -m tbsd_core benchmark quality`: methods against the small world's ground truth."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import atomic_path
from ..optional import require
from .options import add_noise_argument
from .series import INTERRUPTED

if TYPE_CHECKING:
    from ..study import Job, Report
    from .options import Commands



def register(benchmarks: Commands) -> None:
    """Add the command to the sub-parsers of `benchmark`."""
    parser = benchmarks.add_parser("quality", help="methods on held-out prompts of the small world, with intervals")
    parser.add_argument("--json", type=Path, required=True, help="the report; its tables go beside it as .md")
    parser.add_argument("--out", type=Path, default=Path("output/benchmark"), help="folder of the runs (resumable)")
    parser.add_argument("--split", default="heldout", help="tuning or heldout (default %(default)s)")
    parser.add_argument("--only", help="2d or 3d (default: both)")
    parser.add_argument("--quick", action="store_true", help="1 prompt, 2 seeds, 60 steps: see that it runs")
    parser.add_argument("--steps", type=int, help="steps of each run (default: 250 in 2D, 300 in 3D)")
    parser.add_argument("--prior", default="learned", help="learned, multiview or exact (default %(default)s)")
    parser.add_argument("--methods", nargs="+", default=[], help='rows of the tables, such as TBSD "SDS s, praise"')
    parser.add_argument("--prompts", nargs="+", default=[], help="of the split (default: 8 in 2D, 6 in 3D)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="default: 0 to 3 in 2D, 0 and 1 in 3D")
    add_noise_argument(parser)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default %(default)s)")
    parser.set_defaults(action=quality)


def quality(arguments: argparse.Namespace) -> int:
    """Run the missing jobs and write the report; 1 if a cell failed, 130 when interrupted."""
    from ..benchmark.configurations import DIMENSIONS
    from ..benchmark.quality import QualityConfig, markdown, measure_quality, total_steps

    config = QualityConfig(
        split=arguments.split,
        dimensions=tuple(DIMENSIONS) if arguments.only is None else (arguments.only,),
        quick=arguments.quick,
        prior=arguments.prior,
        n_steps=arguments.steps,
        methods=tuple(arguments.methods),
        prompts=tuple(arguments.prompts),
        seeds=tuple(arguments.seeds),
        noise=arguments.noise,
        workers=arguments.workers,
    )
    tqdm = require("tqdm").tqdm
    require("transformers").utils.logging.disable_progress_bar()
    with tqdm(total=total_steps(config), desc="benchmark", unit="step", disable=None) as bar:

        def on_result(job: Job, report: Report | str) -> None:
            if isinstance(report, str):
                bar.write(f"{job.title}: failed ({report})", file=sys.stderr)
            bar.set_postfix_str(f"{job.label}, {job.prompt}", refresh=False)

        try:
            report = measure_quality(config, arguments.out, bar.update, on_result)
        except KeyboardInterrupt:
            print("\ninterrupted; run the same command again to finish the rest", file=sys.stderr)
            return INTERRUPTED
    with atomic_path(arguments.json) as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    tables = arguments.json.with_suffix(".md")
    with atomic_path(tables) as path:
        path.write_text(markdown(report), encoding="utf-8")
    print(tables.read_text(encoding="utf-8"))
    print(f"wrote {arguments.json} and {tables}; runs in {arguments.out}")
    cells = [cell for part in report["dimensions"].values() for cell in part["cells"]]
    return 1 if any(cell["error"] for cell in cells) else 0
