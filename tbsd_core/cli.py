"""The command line: demo, run, presets, benchmark, methods, vocabulary, and the commands in commands/."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .commands import compare, export, field, inspect, methods, overtime, path, quality, seeds, sweep, vary
from .commands.bar import RunBar
from .commands.options import (
    EVERY_RUN,
    PRIOR,
    add_edit_arguments,
    add_run_arguments,
    base_config,
    newly_assigned,
    refuse_all_but,
    with_assignments,
)
from .commands.series import INTERRUPTED
from .commands.stages import begin_or_resume, run_staged
from .commands.unfinished import check_unfinished, has_stages, has_unfinished_run, quoted
from .configuration import all_settings, with_setting

DEMO_PRIOR = "multiview"  # on prompts that nobody tuned its objects are right (benchmarks/results/multiview.md)
DEMO_STEPS = 250  # of NeRF and texture together: below three minutes on two slow cores
BAD_ARGUMENTS = 2
DEMO_PROMPT = "a brick house"


class _Parser(argparse.ArgumentParser):
    """One sentence and exit code 2 for bad arguments."""

    def error(self, message: str):
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(BAD_ARGUMENTS)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for bad arguments, 130 when interrupted)."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.action(arguments)
    except (ValueError, ImportError, RuntimeError, OSError) as error:
        print(f"tbsd_core: {error}", file=sys.stderr)
        return BAD_ARGUMENTS if isinstance(error, ValueError) else 1


def _parser() -> _Parser:
    parser = _Parser(prog="tbsd_core", description="Score distillation without ComfyUI.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    demo = commands.add_parser("demo", help="text to 3D with the defaults, as a first try: a NeRF, then its mesh")
    demo.add_argument("--out", type=Path, default=Path("output/demo"), help="folder for the results")
    demo.add_argument("--prompt", default=DEMO_PROMPT, help="what to make (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0)
    demo.set_defaults(action=_demo)

    run = commands.add_parser("run", help="one run; see `methods` and `vocabulary`")
    add_run_arguments(run, scene="nerf", needs_prompt=False, needs_out=False)
    add_edit_arguments(run)
    run.add_argument(
        "--stages",
        action="store_true",
        help="a NeRF, then its surface as a mesh, then that mesh painted at the model's full size. --steps is for "
        "all stages, --size for the views of both runs; --set nerf.KEY=VALUE, mesh.KEY=VALUE or texture.KEY=VALUE "
        "is for one stage",
    )
    run.add_argument("--cameras", help="camera preset: around, eye level, from above, everywhere, front half ...")
    run.add_argument("--resume", type=Path, help="continue the run of this folder or file with its settings")
    run.add_argument("--more", type=int, metavar="N", help="with --resume: N steps beyond those planned")
    run.add_argument("--from", dest="report", type=Path, metavar="RUN.JSON", help="repeat the run of this run.json")
    run.add_argument("--autosave", type=float, default=30.0, metavar="S", help="seconds between checkpoints (30)")
    run.set_defaults(action=_run, parser=run)

    measured = commands.add_parser("benchmark", help="measure this installation")
    benchmark = measured.add_subparsers(dest="benchmark", required=True, parser_class=_Parser)
    speed = benchmark.add_parser("speed", help="what a step costs beyond its floor, on random weights")
    speed.add_argument("--model", default="small", help="small, sd15, sd21 or learned (default %(default)s)")
    speed.add_argument("--scenes", nargs="+", default=["image", "nerf"], help="default: image nerf")
    speed.add_argument("--method", default="tbsd", help="tbsd, dds, pds, ssd or tbsd_edit (default %(default)s)")
    speed.add_argument("--rounds", type=int, default=15, help="pairs of floor and steps (default %(default)s)")
    speed.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    speed.add_argument("--half", action="store_true", help="weights in float16")
    speed.add_argument("--nerf-size", type=int, help="pixels of a 3D view (default: the model's image size)")
    speed.add_argument("--views", type=int, default=1, help="views of a 3D scene per step (default %(default)s)")
    speed.add_argument("--json", type=Path, help="write the measurements to this file")
    speed.set_defaults(action=_speed)
    quality.register(benchmark)
    field.register(benchmark)

    inspect.register(commands)
    overtime.register(commands)
    seeds.register(commands)
    vary.register(commands)
    sweep.register(commands)
    path.register(commands)

    compare.register(commands)
    export.register(commands)
    methods.register(commands)
    commands.add_parser("vocabulary", help="list the words of the small world").set_defaults(action=_vocabulary)
    return parser


def _vocabulary(arguments: argparse.Namespace) -> int:
    from .priors.small_world.captions import describe_vocabulary

    print(describe_vocabulary())
    return 0


def _speed(arguments: argparse.Namespace) -> int:
    import json

    from .atomic import atomic_path
    from .benchmark.speed import SpeedConfig, measure_speed
    from .optim import OptimConfig

    config = SpeedConfig(
        model=arguments.model,
        scenes=tuple(arguments.scenes),
        method=arguments.method,
        rounds=arguments.rounds,
        device=arguments.device,
        half=arguments.half,
        nerf_size=arguments.nerf_size,
        optim=OptimConfig(n_steps=10**6, views_per_step=arguments.views),
    )

    def show(scene: str, result: dict) -> None:
        seconds = result["seconds"][scene]
        parts = " + ".join(f"{name} {1000 * s:.0f}" for name, s in seconds.items() if name != "step")
        print(f"{scene:6s} step {1000 * seconds['step']:.0f} ms, floor {parts} ms: {result['ratios'][scene]:.3f}")

    result = measure_speed(config, show)
    if arguments.json is not None:
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from .experiment.stages import default_stages

    config = default_stages(arguments.prompt, prior=DEMO_PRIOR, n_steps=DEMO_STEPS, seed=arguments.seed)
    return begin_or_resume(config, arguments.out)


def _run(arguments: argparse.Namespace) -> int:
    from .cameras.sampling import with_camera_preset
    from .experiment import config_from_report, stored_config, take_part
    from .experiment.defaults import model_shape
    from .optim.distributed import process_group

    if arguments.out is None:
        if arguments.resume is None or not arguments.resume.is_dir():
            raise ValueError("--out is missing: name a folder for the results.")
        arguments.out = arguments.resume
    if arguments.stages or has_stages(arguments.resume):
        return run_staged(arguments)
    if arguments.report is not None:
        refuse_all_but(arguments, (*EVERY_RUN, "report"), "--from repeats a whole run")
    elif arguments.resume is not None:
        kept = (*EVERY_RUN, "resume", "more", "prompt", "prior", "steps", "size")  # of these more is said below
        refuse_all_but(arguments, kept, "--resume goes on with a whole run")
    if arguments.resume is None or not is_in(arguments.resume, arguments.out):
        check_unfinished(arguments.out)
    if arguments.more is not None and (arguments.resume is None or arguments.more < 1):
        raise ValueError(f"--more is a number of steps above 0 for --resume, got {arguments.more}.")
    if arguments.report is not None:
        config, changed = config_from_report(arguments.report)
        for text in changed:
            print(f"another version than that run had, so the result may differ: {text}", file=sys.stderr)
        config = on_device(config, arguments)
    elif arguments.resume is not None:
        config = stored_config(arguments.resume)
        if arguments.prompt is not None and arguments.prompt != config.prompt.prompt:
            raise ValueError(
                f"The run in {arguments.resume} has the prompt {config.prompt.prompt!r}; leave out --prompt to resume."
            )
    elif arguments.prompt is None:
        raise ValueError("--prompt is missing: say what to make, e.g. --prompt 'a brick house'.")
    else:
        config = base_config(arguments)
    if arguments.cameras is not None:
        config = replace(config, cameras=with_camera_preset(config.cameras, arguments.cameras))
    if arguments.resume is not None:  # the machine may be another one
        for name, instead in (("steps", "--more N does N steps more"), ("size", "a run keeps its size")):
            if getattr(arguments, name) is not None:
                raise ValueError(f"--{name} is for a new run: {instead}.")
        if arguments.prior != PRIOR:  # the model of a run in ComfyUI, from its file
            config = replace(config, prior=model_shape(arguments.prior, arguments.allow_download).prior)
        config = on_device(config, arguments)
    if arguments.more is not None:
        config = replace(config, optim=replace(config.optim, n_steps=config.optim.n_steps + arguments.more))
    assign = newly_assigned if arguments.report is None and arguments.resume is None else with_assignments
    config = assign(config, [text for text in arguments.set if text != "help"])
    if "help" in arguments.set:
        for name, value in all_settings(config).items():
            print(f"{name}={value}")
        return 0
    with process_group(config.device) as split:
        if split.rank == 0:
            return _execute(config, arguments.out, arguments.resume, arguments.autosave, split)
        take_part(config, split, arguments.resume)
        return 0


def on_device(config: Any, arguments: argparse.Namespace) -> Any:
    """`config` on the device of the arguments, if they name one."""
    for name in ("device", "dtype"):
        if getattr(arguments, name) is not None:
            config = with_setting(config, name, getattr(arguments, name))
    return config


def is_in(run: Path, folder: Path) -> bool:
    """Whether a run to resume, a folder or its file, is in a folder."""
    return folder.resolve() in (run.resolve(), run.resolve().parent)


def _execute(config: Any, out: Path, resume: Path | None, autosave: float = 30.0, split: Any = None) -> int:
    from .experiment import check_config, is_demo, run
    from .metrics.glossary import GLOSSARY
    from .optim.distributed import WHOLE

    check_config(config)
    title = f"{config.guidance_name} on {config.scene_name}"
    print(f"{config.prompt.prompt!r}: {title}, {config.prior} prior, seed {config.optim.seed}", flush=True)
    with RunBar(config.optim.n_steps, title) as bar:
        try:
            report = run(config, out, resume, bar.on_step, bar.say, autosave, split or WHOLE)
        except KeyboardInterrupt:
            goes_on = f"continue with: python -m tbsd_core run --resume {quoted(out)} --out {quoted(out)}"
            print(f"\ninterrupted; {goes_on if has_unfinished_run(out) else 'nothing was done yet'}", file=sys.stderr)
            return INTERRUPTED
    print(f"wrote to {out}: {', '.join(report['files'])}")
    seconds = report["seconds"]
    print(f"took {seconds['total']:.1f} s ({seconds['optimize']:.1f} s of optimisation)")
    for name, value in report["metrics"].items():
        if value is not None:
            print(f"  {name:22s} {value:.3f}  {GLOSSARY[name].sentence}")
    if "identity_shape" not in report["metrics"]:
        why = "the prompt does not name one object and one material" if is_demo(config) else "a pipeline has none"
        print(f"  no ground truth: {why}")
    return 0
