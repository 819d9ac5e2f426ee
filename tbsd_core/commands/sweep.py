"""`python -m tbsd_core sweep`: many prompts, on the processes of this machine, a Ray cluster or ComfyUI servers."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .options import add_study_arguments, study_configs
from .series import INTERRUPTED, SOME_FAILED

if TYPE_CHECKING:
    from ..study import Job, Pool, PromptLine, Report, Reports
    from ..study.comfyui import ComfyUIServer
    from ..study.workflow import NodeInfo, Workflow
    from .options import Commands

    MakePool = Callable[[Callable[[str], None]], Pool]  # of where its notes go

MOST_WORKERS = 61  # Windows waits for at most 63 things at once
SHEET, SHEET_ROWS = "sheet.png", 24


def register(commands: Commands) -> None:
    """Add the command to the sub-parsers of the command line."""
    parser = commands.add_parser("sweep", help="many prompts, on one machine or many: one folder each, one table")
    parser.add_argument(
        "prompts",
        type=Path,
        help='file with one JSON object per line: {"prompt": "a brick house"}, with settings of its own as in '
        '{"prompt": "a wooden cone", "optim.n_steps": 400}',
    )
    add_study_arguments(parser, ["tbsd"])
    parser.add_argument("--retries", type=int, default=2, help="tries of a cell after the first (default %(default)s)")
    of_workers = "processes, or CPUs of --ray local (default: as many as CPUs; 1 process on a graphics card)"
    parser.add_argument("--workers", type=int, help=of_workers)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--ray", metavar="ADDRESS", help="local, auto, or the address of a Ray cluster: run there")
    where.add_argument("--comfyui", nargs="+", metavar="URL", help="ComfyUI servers: run in their queues")
    parser.add_argument("--ray-cpus", type=float, default=1, help="CPUs of a cell (default %(default)s)")
    parser.add_argument("--ray-gpus", type=float, default=0, help="GPUs of a cell, e.g. 0.5 (default %(default)s)")
    parser.add_argument(
        "--workflow", type=Path, help="for --comfyui: workflow in API format (default: text to image on demo models)"
    )
    parser.set_defaults(action=sweep)


def sweep(arguments: argparse.Namespace) -> int:
    """Run the unfinished jobs, then write the contact sheet and the tables; 1 if a cell failed."""
    from ..study import job_row, run_jobs, write_sheet, write_tables

    jobs, make_pool = _prepared(arguments)
    reports: Reports = {}
    code, start = 0, time.perf_counter()

    def on_result(job: Job, report: Report | str, fresh: bool) -> None:
        how = f"failed ({report})" if isinstance(report, str) else "finished" if fresh else "already finished"
        took = f" in {report['seconds']['total']:.1f} s" if fresh and not isinstance(report, str) else ""
        print(f"[{len(reports)}/{len(jobs)}] {job.title}: {how}{took}", flush=True)

    def on_note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        retries, pool = arguments.retries, lambda: make_pool(on_note)
        run_jobs(jobs, arguments.out, pool, retries=retries, on_result=on_result, on_note=on_note, reports=reports)
    except KeyboardInterrupt:
        code = INTERRUPTED
        print("interrupted; run the same command again to finish the rest", file=sys.stderr)
    except RuntimeError as error:
        code = SOME_FAILED
        print(f"{error} Run the same command again to finish the rest.", file=sys.stderr)
    seconds = time.perf_counter() - start
    if not reports:
        return code
    settings = {"prompts": str(arguments.prompts), "methods": arguments.methods, "seeds": arguments.seeds}
    write_sheet(jobs, reports, arguments.out, SHEET, SHEET_ROWS)
    rows = [job_row(job, reports[i]) for i, job in enumerate(jobs) if i in reports]
    files = [SHEET, *write_tables(rows, arguments.out, settings)]
    print((arguments.out / "table.md").read_text(encoding="utf-8"))
    print(f"{len(reports)} of {len(jobs)} cells in {seconds:.1f} s; wrote to {arguments.out}: {', '.join(files)}")
    return code or (SOME_FAILED if any(isinstance(report, str) for report in reports.values()) else 0)


def _prepared(arguments: argparse.Namespace) -> tuple[list[Job], MakePool]:
    """The jobs, and a function that makes their pool."""
    from ..study import read_prompts

    if len(set(arguments.seeds)) < len(arguments.seeds):
        raise ValueError(f"The same seed appears twice in {arguments.seeds}.")
    if arguments.workers is not None and arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {arguments.workers}.")
    if arguments.retries < 0:
        raise ValueError(f"--retries must be at least 0, got {arguments.retries}.")
    lines = read_prompts(arguments.prompts)
    if arguments.workflow is not None and not arguments.comfyui:
        raise ValueError("--workflow is for --comfyui: name the servers, too.")
    if not arguments.comfyui:
        jobs = plan(arguments, lines)
        on_card = any(job.config["device"] != "cpu" for job in jobs)
        if on_card and arguments.ray is not None and arguments.ray_gpus == 0:
            raise ValueError("These cells need a card, but Ray gives them none: add --ray-gpus 1, or a part of one.")
        return jobs, lambda on_note: _pool(arguments, on_card)
    from ..study.comfyui import ComfyUIServer
    from ..study.servers import ServerPool

    if len(set(arguments.comfyui)) < len(arguments.comfyui):
        raise ValueError(f"The same server appears twice in {arguments.comfyui}.")
    servers = [ComfyUIServer(url) for url in arguments.comfyui]
    return plan_workflows(arguments, lines, servers), lambda on_note: ServerPool(servers, on_note)


def _pool(arguments: argparse.Namespace, on_card: bool) -> Pool:
    workers = arguments.workers or min(MOST_WORKERS, os.cpu_count() or 1)
    if arguments.ray is not None:
        from ..study.cluster import RayPool

        return RayPool(arguments.ray, arguments.ray_cpus, arguments.ray_gpus, arguments.retries, workers)
    from ..study import ProcessPool

    # each process loads the model, and they would share the card
    return ProcessPool(1 if on_card and not arguments.workers else workers)


def plan(arguments: argparse.Namespace, lines: list[PromptLine]) -> list[Job]:
    """The jobs: prompts x seeds x methods, each with its method's preset, as `run` would have it.

    Raises:
        ValueError: an unknown name or setting, or a prompt that the prior cannot read; names the line.
    """
    from ..experiment import check_config
    from ..study import assigned, job_of, of_cell

    bases = study_configs(arguments, lines[0].prompt)
    jobs = []
    for line in lines:
        try:
            own = assigned(bases, [f"{key}={value}" for key, value in line.settings.items()])
            for config in own.values():
                check_config(of_cell(config, line.prompt, arguments.seeds[0]))
        except ValueError as error:
            raise ValueError(f"{arguments.prompts}, line {line.line}: {error}") from None
        jobs += [
            job_of(titled(label, line), of_cell(config, line.prompt, seed))
            for seed in arguments.seeds
            for label, config in own.items()
        ]
    return jobs


def plan_workflows(arguments: argparse.Namespace, lines: list[PromptLine], servers: list[ComfyUIServer]) -> list[Job]:
    """The jobs as workflows. Settings are widgets of its nodes: 6.steps is the widget steps of node 6.

    Raises:
        ValueError: the workflow lacks what a cell needs; names the line.
        RuntimeError: no server answers.
    """
    from ..study import Job, labelled
    from ..study.workflow import DEFAULT, read_workflow, with_cell, with_method

    workflow = with_cell(read_workflow(arguments.workflow or DEFAULT), lines[0].prompt, arguments.seeds[0])
    bases = {
        label: with_method(workflow, name, lambda kind: _described(servers, kind))
        for label, name in labelled(arguments.methods).items()
    }
    bases = _with_widgets(bases, _settings(arguments.set))
    jobs = []
    for line in lines:
        try:
            own = _with_widgets(bases, line.settings)
        except ValueError as error:
            raise ValueError(f"{arguments.prompts}, line {line.line}: {error}") from None
        jobs += [
            Job(titled(label, line), line.prompt, seed, {"workflow": with_cell(base, line.prompt, seed)})
            for seed in arguments.seeds
            for label, base in own.items()
        ]
    return jobs


def _with_widgets(bases: dict[str, Workflow], settings: Mapping[str, str]) -> dict[str, Workflow]:
    """The workflows with widgets set wherever they exist; if none has one, the error of the first lists its widgets."""
    from ..study.workflow import with_widget

    for key, value in settings.items():
        node, _, name = key.partition(".")
        having = [label for label, workflow in bases.items() if name in workflow.get(node, {}).get("inputs", {})]
        bases = bases | {label: with_widget(bases[label], key, value) for label in having or bases}
    return bases


def _settings(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise ValueError(f"--set needs NODE.INPUT=VALUE with --comfyui, got {text!r}.")
    return dict(text.split("=", 1) for text in texts)


def _described(servers: list[ComfyUIServer], kind: str) -> NodeInfo:
    """The description of a node class, from the first server that answers."""
    from ..study.comfyui import GONE

    reasons = []
    for server in servers:
        try:
            return server.describe(kind)
        except GONE as error:
            reasons.append(f"{server.url}: {error}")
    raise RuntimeError(f"No ComfyUI server answers ({'; '.join(reasons)}).")


def titled(label: str, line: PromptLine) -> str:
    return f"{label}, {line.name}" if line.name else label
