"""`python -m tbsd_core sweep`: many prompts, on the processes of this machine, a Ray cluster or ComfyUI servers."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compare import assigned, labelled, of_cell
from .options import INTERRUPTED, add_common_arguments

if TYPE_CHECKING:
    from ..experiment import ExperimentConfig
    from ..sweep import Job, Pool, PromptLine
    from ..sweep.comfyui import ComfyUIServer

SOME_FAILED = 1
OF_THE_SWEEP = ("prompt.prompt", "scene.seed", "optim.seed", "optim.timestep_seed")


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of the command line."""
    parser = commands.add_parser("sweep", help="many prompts, on one machine or many: one folder each, one table")
    parser.add_argument(
        "prompts",
        type=Path,
        help='file with one JSON object per line: {"prompt": "a brick house"}, with settings of its own as in '
        '{"prompt": "a wooden cone", "optim.n_steps": 400}',
    )
    parser.add_argument("--methods", nargs="+", default=["tbsd"], help="METHOD or LABEL=METHOD (default: tbsd)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    add_common_arguments(parser, one_seed=False)
    parser.add_argument("--retries", type=int, default=2, help="tries of a cell after the first (default %(default)s)")
    parser.add_argument("--workers", type=int, help="processes, or CPUs of --ray local (default: as many as CPUs)")
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
    """Run what is not finished, then write the contact sheet and the tables; 1 if a cell failed."""
    from ..sweep import run_sweep, write_report
    from ..sweep.runner import Reports

    jobs, make_pool = _prepared(arguments)
    reports: Reports = {}
    code, start = 0, time.perf_counter()

    def on_result(job: Job, report: dict[str, Any] | str, fresh: bool) -> None:
        how = f"failed ({report})" if isinstance(report, str) else "finished" if fresh else "finished before"
        took = f" in {report['seconds']['total']:.1f} s" if fresh and not isinstance(report, str) else ""
        print(f"[{len(reports)}/{len(jobs)}] {job.title}: {how}{took}", flush=True)

    def on_note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        run_sweep(jobs, arguments.out, lambda: make_pool(on_note), arguments.retries, on_result, on_note, reports)
    except KeyboardInterrupt:
        code = INTERRUPTED
        print("interrupted; the same command goes on with what is missing", file=sys.stderr)
    except RuntimeError as error:
        code = SOME_FAILED
        print(f"{error} The same command goes on with what is missing.", file=sys.stderr)
    seconds = time.perf_counter() - start
    if not reports:
        return code
    settings = {"prompts": str(arguments.prompts), "methods": arguments.methods, "seeds": arguments.seeds}
    files = write_report(jobs, reports, arguments.out, settings)
    print((arguments.out / "table.md").read_text(encoding="utf-8"))
    print(f"{len(reports)} of {len(jobs)} cells in {seconds:.1f} s; wrote to {arguments.out}: {', '.join(files)}")
    return code or (SOME_FAILED if any(isinstance(report, str) for report in reports.values()) else 0)


def _prepared(arguments: argparse.Namespace) -> tuple[list[Job], Any]:
    """The jobs, and what makes their pool."""
    from ..sweep import read_prompts

    if len(set(arguments.seeds)) < len(arguments.seeds):
        raise ValueError(f"The same seed stands twice in {arguments.seeds}.")
    if arguments.workers is not None and arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {arguments.workers}.")
    if arguments.retries < 0:
        raise ValueError(f"--retries must be at least 0, got {arguments.retries}.")
    lines = read_prompts(arguments.prompts)
    methods = labelled([part for text in arguments.methods for part in text.split(",") if part])
    if arguments.workflow is not None and not arguments.comfyui:
        raise ValueError("--workflow is for --comfyui: name the servers, too.")
    if not arguments.comfyui:
        return plan(arguments, lines, methods), lambda on_note: _pool(arguments)
    from ..sweep.comfyui import ComfyUIServer
    from ..sweep.servers import ServerPool

    if len(set(arguments.comfyui)) < len(arguments.comfyui):
        raise ValueError(f"The same server stands twice in {arguments.comfyui}.")
    servers = [ComfyUIServer(url) for url in arguments.comfyui]
    return plan_workflows(arguments, lines, methods, servers), lambda on_note: ServerPool(servers, on_note)


def _pool(arguments: argparse.Namespace) -> Pool:
    workers = arguments.workers or os.cpu_count() or 1
    if arguments.ray is not None:
        from ..sweep.cluster import RayPool

        return RayPool(arguments.ray, arguments.ray_cpus, arguments.ray_gpus, arguments.retries, workers)
    from ..sweep.processes import ProcessPool

    return ProcessPool(workers)


def plan(arguments: argparse.Namespace, lines: list[PromptLine], methods: dict[str, str]) -> list[Job]:
    """The cells: prompts x seeds x methods, each with its method's preset, as `run` would have it.

    Raises:
        ValueError: an unknown name or setting, or a prompt that the prior cannot read; names the line.
    """
    from ..configuration import to_plain
    from ..experiment import check_config, default_config
    from ..sweep import Job

    a = arguments
    bases: dict[str, ExperimentConfig] = {
        label: default_config(
            lines[0].prompt, a.scene, name, a.prior, a.steps, a.seeds[0], a.size, a.device, a.dtype, False
        )
        for label, name in methods.items()
    }
    refuse_own(arguments.set)
    bases = assigned(bases, arguments.set)
    jobs = []
    for line in lines:
        texts = [f"{key}={value}" for key, value in line.settings.items()]
        try:
            refuse_own(texts)
            configs = {k: of_cell(c, line.prompt, a.seeds[0]) for k, c in assigned(bases, texts).items()}
            for config in configs.values():
                check_config(config)
        except ValueError as error:
            raise ValueError(f"{arguments.prompts}, line {line.line}: {error}") from None
        for seed in arguments.seeds:
            for label, config in configs.items():
                # as JSON gives it back: tuples become lists
                plain = json.loads(json.dumps(to_plain(of_cell(config, line.prompt, seed))))
                jobs.append(Job(titled(label, line), line.prompt, seed, plain))
    return jobs


def plan_workflows(
    arguments: argparse.Namespace, lines: list[PromptLine], methods: dict[str, str], servers: list[ComfyUIServer]
) -> list[Job]:
    """The cells as workflows. Settings are widgets of its nodes: 6.steps is that of node 6.

    Raises:
        ValueError: the workflow lacks what a cell needs; names the line.
        RuntimeError: no server answers.
    """
    from ..sweep import Job
    from ..sweep.workflow import DEFAULT, read_workflow, with_cell, with_method, with_widget

    workflow = with_cell(read_workflow(arguments.workflow or DEFAULT), lines[0].prompt, arguments.seeds[0])
    bases = {
        label: with_method(workflow, name, lambda kind: _described(servers, kind)) for label, name in methods.items()
    }

    def assigned(bases: dict[str, Any], settings: dict[str, str]) -> dict[str, Any]:
        for key, value in settings.items():
            having = [
                k
                for k, w in bases.items()
                if key.partition(".")[2] in w.get(key.partition(".")[0], {}).get("inputs", {})
            ]
            bases = bases | {k: with_widget(bases[k], key, value) for k in having or bases}
        return bases

    bases = assigned(bases, _settings(arguments.set))
    jobs = []
    for line in lines:
        try:
            own = assigned(bases, line.settings)
        except ValueError as error:
            raise ValueError(f"{arguments.prompts}, line {line.line}: {error}") from None
        jobs += [
            Job(titled(label, line), line.prompt, seed, {"workflow": with_cell(base, line.prompt, seed)})
            for seed in arguments.seeds
            for label, base in own.items()
        ]
    return jobs


def _settings(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise ValueError(f"--set needs NODE.INPUT=VALUE with --comfyui, got {text!r}.")
    return dict(text.split("=", 1) for text in texts)


def _described(servers: list[ComfyUIServer], kind: str) -> dict[str, Any]:
    """What the first server that answers says about a node class."""
    from ..sweep.comfyui import GONE

    reasons = []
    for server in servers:
        try:
            return server.describe(kind)
        except GONE as error:
            reasons.append(f"{server.url}: {error}")
    raise RuntimeError(f"No ComfyUI server answers ({'; '.join(reasons)}).")


def titled(label: str, line: PromptLine) -> str:
    return f"{label}, {line.name}" if line.name else label


def refuse_own(texts: list[str]) -> None:
    """Settings that the sweep itself gives its cells cannot be set beside it."""
    for text in texts:
        if text.partition("=")[0] in OF_THE_SWEEP:
            raise ValueError(f"{text.partition('=')[0]!r} comes from the prompts and from --seeds; leave it out.")
