"""`python -m tbsd_core compare`: methods side by side on the same prompts and seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..optional import require
from .options import add_study_arguments, study_configs
from .series import INTERRUPTED, SOME_FAILED

if TYPE_CHECKING:
    from ..experiment import ExperimentConfig
    from ..metrics.clip_model import ClipModel
    from ..study import Job, Report, Reports, Row
    from .options import Commands

GRID = "grid.png"
MATCHES = ("preset", "steps", "evaluations")


def register(commands: Commands) -> None:
    """Add the command to the sub-parsers of the command line."""
    parser = commands.add_parser("compare", help="methods side by side: one picture and one table")
    parser.add_argument("--prompts", nargs="+", required=True, help="one or more, each in quotes")
    add_study_arguments(parser)
    parser.add_argument(
        "--match",
        default="preset",
        choices=MATCHES,
        help="preset: every method takes its own number of steps, or --steps; steps: as many steps as the first "
        "one; evaluations: as many steps as the first one's noise predictions per view pay for (default "
        "%(default)s)",
    )
    parser.add_argument("--batch", type=int, help="pictures side by side (default: 8, 1 on a pipeline)")
    parser.add_argument("--clip", help="folder of a CLIP model of transformers: adds CLIP score and R-precision")
    parser.set_defaults(action=compare)


def compare(arguments: argparse.Namespace) -> int:
    """Run the unfinished jobs, then write grid.png and the tables; 1 if a cell failed, 130 when interrupted."""
    from ..experiment import is_demo
    from ..study import InlinePool, job_row, run_jobs, write_sheet, write_tables

    configs = study_configs(arguments, arguments.prompts[0])
    jobs = plan(arguments, configs)
    if arguments.batch is not None and arguments.batch < 1:
        raise ValueError(f"--batch is a number of pictures above 0, got {arguments.batch}.")
    batch = arguments.batch or (8 if is_demo(next(iter(configs.values()))) else 1)
    clip = None
    if arguments.clip is not None:
        from ..metrics.clip_model import load_clip_model

        clip = load_clip_model(arguments.clip, arguments.allow_download)
    tqdm = require("tqdm").tqdm
    require("transformers").utils.logging.disable_progress_bar()
    reports: Reports = {}
    code = 0
    with tqdm(total=sum(job.n_steps or 0 for job in jobs), desc="compare", unit="step", disable=None) as bar:

        def on_steps(job: Job, n_steps: int) -> None:
            bar.set_postfix_str(f"{job.label}, {job.prompt}", refresh=False)
            bar.update(n_steps)

        def on_result(job: Job, report: Report | str, fresh: bool) -> None:
            if not fresh:
                bar.update(job.n_steps or 0)
                bar.write(f"{job.title}: already finished", file=sys.stderr)
            elif isinstance(report, str):
                bar.write(f"{job.title}: failed ({report})", file=sys.stderr)

        try:
            pool = lambda: InlinePool(on_steps=on_steps)  # noqa: E731
            run_jobs(jobs, arguments.out, pool, batch=batch, on_result=on_result, reports=reports)
        except KeyboardInterrupt:
            code = INTERRUPTED
    done = [i for i in range(len(jobs)) if i in reports]
    rows = [job_row(jobs[i], reports[i]) for i in done]
    if clip is not None:
        add_clip([jobs[i] for i in done], rows, arguments.out, clip, arguments.prompts)
    write_sheet(jobs, reports, arguments.out, GRID)
    files = [GRID, *write_tables(rows, arguments.out, settings_of(arguments, batch))]
    print((arguments.out / "table.md").read_text(encoding="utf-8"))
    print(f"wrote to {arguments.out}: {', '.join(files)}, and each cell as a run in a folder of its own")
    if code == INTERRUPTED:
        print("interrupted; run the same command again to finish the rest", file=sys.stderr)
        return code
    return SOME_FAILED if any(row["error"] for row in rows) else 0


def plan(arguments: argparse.Namespace, configs: dict[str, ExperimentConfig]) -> list[Job]:
    """The jobs: prompts x seeds x methods, with the numbers of steps that --match asks for.

    Raises:
        ValueError: a prompt or seed appears twice, or an experiment cannot run.
    """
    from ..experiment import check_config
    from ..study import job_of, matched, of_cell

    for kind, values in (("prompt", arguments.prompts), ("seed", arguments.seeds)):
        if len(set(values)) < len(values):
            raise ValueError(f"The same {kind} appears twice in {values}.")
    first = arguments.prompts[0]
    for prompt in arguments.prompts:
        for config in configs.values():
            check_config(of_cell(config, prompt, arguments.seeds[0]))
    by_seed = {  # the cost of a run depends on its draws
        seed: matched({label: of_cell(c, first, seed) for label, c in configs.items()}, arguments.match)
        for seed in arguments.seeds
    }
    return [
        job_of(label, of_cell(config, prompt, seed))
        for prompt in arguments.prompts
        for seed, matching in by_seed.items()
        for label, config in matching.items()
    ]


def settings_of(arguments: argparse.Namespace, batch: int) -> Mapping[str, object]:
    """The request as plain data."""
    names = ("prompts", "methods", "seeds", "scene", "mesh", "prior", "steps", "size", "match", "set", "clip")
    return {name: getattr(arguments, name) for name in names} | {"batch": batch}


def add_clip(jobs: Sequence[Job], rows: Sequence[Row], out: Path, clip: ClipModel, prompts: list[str]) -> None:
    """Give the rows clip_score, and clip_r_precision where there are several prompts (means over the views)."""
    import torch

    from ..metrics import clip_score, r_precision
    from ..study import job_folder, picture, read_views

    texts = clip.embed_texts(prompts)
    for job, row in zip(jobs, rows, strict=True):
        path = picture(job_folder(out, job))
        if row["error"] or path is None:
            continue
        images = clip.embed_images(read_views(path))
        own = prompts.index(job.prompt)
        row["clip_score"] = float(clip_score(images, texts[own : own + 1]).mean())
        if len(prompts) > 1:
            row["clip_r_precision"] = r_precision(images, texts, torch.full((len(images),), own))
