"""`run --stages`: NeRF, mesh and texture one after the other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..configuration import all_settings, with_setting
from .bar import RunBar
from .options import EVERY_RUN, card_memory, refuse_all_but
from .series import INTERRUPTED
from .unfinished import check_unfinished, has_unfinished_stages, quoted

if TYPE_CHECKING:
    from ..experiment.stages import StagesConfig
    from ..optim import StepRecord


def begin_or_resume(config: StagesConfig, out: Path) -> int:
    """All stages, or the remaining ones if `out` holds others of this configuration; returns the exit code.

    Raises:
        ValueError: `out` holds a run, or stages of another configuration, that have not ended.
    """
    from ..experiment.autosave import AUTOSAVE_SECONDS
    from ..experiment.stages import stored_stages

    resumes = has_unfinished_stages(out) and stored_stages(out) == config
    if not resumes:
        check_unfinished(out)
    return _execute(config, out, resumes, AUTOSAVE_SECONDS)


def run_staged(arguments: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    from ..cameras.sampling import with_camera_preset
    from ..experiment.source import check_source_config
    from ..experiment.stages import default_stages, stored_stages
    from ..optim.distributed import process_group

    a, resumes = arguments, arguments.resume is not None
    taken = (*EVERY_RUN, "stages", "prompt")
    taken += ("resume",) if resumes else ("prior", "steps", "seed", "size", "method", "memory")
    refuse_all_but(a, taken, "Stages go on with all their settings" if resumes else "Stages start with a NeRF")
    if resumes:
        if a.out.resolve() != a.resume.resolve():
            raise ValueError(f"Stages resume in their own folder: leave out --out, or give --out {a.resume}.")
        config = stored_stages(a.resume)
        if a.prompt not in (None, config.nerf.prompt.prompt):
            raise ValueError(
                f"The stages in {a.resume} have the prompt {config.nerf.prompt.prompt!r}; leave out --prompt."
            )
    elif a.prompt is None:
        raise ValueError("--prompt is missing: say what to make, e.g. --prompt 'a brick house'.")
    else:
        check_unfinished(a.out)
        given = (a.prior, a.steps, a.seed, a.size, a.device, a.dtype, a.allow_download, card_memory(a))
        config = default_stages(a.prompt, a.method, *given)
        check_source_config(config.nerf)
    if a.cameras is not None:
        runs = {
            name: replace(run, cameras=with_camera_preset(run.cameras, a.cameras))
            for name, run in {"nerf": config.nerf, "texture": config.texture}.items()
        }
        config = replace(config, **runs)
    moved = [f"{name}={getattr(a, name)}" for name in ("device", "dtype") if resumes and getattr(a, name) is not None]
    config = assigned(config, [*moved, *(text for text in a.set if text != "help")])
    if "help" in a.set:
        for name, value in all_settings(config).items():
            print(f"{name}={value}")
        return 0
    with process_group(config.nerf.device) as split:
        if split.size > 1:
            raise ValueError("Stages run in one process. Run the NeRF by torchrun alone, then paint its mesh.glb.")
        return _execute(config, a.out, resumes, a.autosave)


def assigned(config: StagesConfig, assignments: Iterable[str]) -> StagesConfig:
    """`config` with nerf.KEY=VALUE, mesh.KEY=VALUE and texture.KEY=VALUE set in one stage, KEY=VALUE in both runs.

    Raises:
        ValueError: an unknown key, a value of another kind, or a number of steps that names no stage.
    """
    from ..experiment.stages import NERF, STAGES, TEXTURE

    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set needs KEY=VALUE, got {text!r}.")
        if key == "optim.n_steps":
            raise ValueError(
                "--set optim.n_steps does not name a stage: use --set nerf.optim.n_steps=N, --set "
                "texture.optim.n_steps=N, or --steps N for both together."
            )
        if key.partition(".")[0] in STAGES:
            config = with_setting(config, key, value)
            continue
        having = [name for name in (NERF, TEXTURE) if key in all_settings(getattr(config, name))]
        for name in having or [NERF]:  # if none has it, the error of the NeRF lists the keys
            config = replace(config, **{name: with_setting(getattr(config, name), key, value)})
    return config


def _execute(config: StagesConfig, out: Path, resumes: bool, autosave: float) -> int:
    from ..experiment.stages import STAGES, check_stages, run_stages
    from ..metrics.glossary import GLOSSARY

    check_stages(config)
    nerf = config.nerf
    print(f"{nerf.prompt.prompt!r}: {nerf.guidance_name} in stages, {nerf.prior} prior, seed {nerf.optim.seed}")
    bar: RunBar | None = None

    def close() -> None:
        nonlocal bar
        if bar is not None:
            bar.__exit__(None, None, None)
            bar = None

    def on_stage(number: int, name: str) -> None:
        close()
        print(f"Stage {number} of {len(STAGES)}: {name}", flush=True)

    def on_step(record: StepRecord) -> None:
        nonlocal bar
        if bar is None:
            bar = RunBar(record.n_steps, "steps")
        bar.on_step(record)

    def on_phase(text: str) -> None:
        bar.say(text) if bar is not None else print(text, file=sys.stderr, flush=True)

    try:
        report = run_stages(config, out, resumes, on_step, on_phase, on_stage, autosave)
    except KeyboardInterrupt:
        close()
        print(f"\ninterrupted; continue with: python -m tbsd_core run --resume {quoted(out)}", file=sys.stderr)
        return INTERRUPTED
    finally:
        close()
    print(f"wrote to {out}: {', '.join(report['files'])}")
    print("took " + ", ".join(f"{seconds:.1f} s ({name})" for name, seconds in report["seconds"].items()))
    for name, value in report["metrics"]["texture"].items():
        if value is not None:
            before = report["metrics"]["nerf"].get(name)
            was = "" if before is None else f" (NeRF: {before:.3f})"
            print(f"  {name:22s} {value:.3f}{was}  {GLOSSARY[name].sentence}")
    return 0
