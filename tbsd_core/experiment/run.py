"""One whole run without ComfyUI: from a configuration to the files of its folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..lock import locked
from ..memory import available_bytes
from ..optim import StepRecord, Watchdog
from ..optim.distributed import WHOLE, Split
from ..priors.base import TextPrior
from .autosave import AUTOSAVE_SECONDS, Autosave
from .check import check_config
from .config import ExperimentConfig
from .distilled import distilled_warning
from .duration import Pace, first_full_step_of
from .experiment import Experiment, check_resume, resumed
from .file import NEWEST, read_newest
from .native import size_warning
from .plan import plan_of
from .results import FINAL_FILES, Account, write_results
from .source import check_source_config
from .start import read_prior


def run(
    config: ExperimentConfig,
    out: Path,
    resume: Path | None = None,  # the folder or the file of a run to resume
    on_step: Callable[[StepRecord], None] = lambda record: None,
    on_phase: Callable[[str], None] = lambda text: None,
    autosave_seconds: float = AUTOSAVE_SECONDS,
    split: Split = WHOLE,  # the part of the views that this process has
    in_full: bool = True,  # see write_results
    with_mesh: bool = True,
    prior: TextPrior | None = None,  # None reads the configuration's
    available: int | None = None,  # bytes of the device that steps may take; None: all that are free
) -> dict[str, Any]:
    """Run to the end and write everything to `out`; returns the contents of run.json.

    Whatever ends it early (an interrupt, memory that runs out, gradients that are not finite), the state is saved
    before the exception propagates. A process that is killed leaves a state at most `autosave_seconds` old.

    Raises:
        ValueError: the settings do not fit each other, or the run to resume.
        RuntimeError: another process writes to `out`.
        OSError: `out` cannot be written, or in the end the disk was full.
    """
    check_config(config)
    if resume is None:
        check_source_config(config)
    else:  # said before anything is written
        check_resume(read_newest(resume), config)
    with locked(out):
        start, cpu = time.perf_counter(), time.process_time()
        experiment, is_ours = _begun(config, prior or read_prior(config), resume, out, split, on_phase)
        saved = experiment.state.step if is_ours else None
        full_from = first_full_step_of(experiment)
        pace = Pace(config.optim.n_steps, full_from=full_from)
        if split.size == 1:
            free = available_bytes(torch.device(config.device)) if available is None else available
            plan = plan_of(experiment, free)
            plan.apply(experiment)
            _say(plan.text, on_phase)
            pace = Pace(config.optim.n_steps, plan.duration, full_from=full_from)
        save = Autosave(out / NEWEST, experiment, autosave_seconds, is_ours, saved, on_phase)
        scene = experiment.scene
        watchdog = Watchdog(scene.uses_cameras and not scene.fixed_geometry)
        warnings = [text for text in (size_warning(config), distilled_warning(config)) if text]
        for text in warnings:
            _say(text, on_phase)
        began, has_stepped = time.perf_counter(), False
        try:
            for record in experiment.steps():
                if not has_stepped:  # results of an older run in this folder would pass for this run's
                    for name in FINAL_FILES:
                        (out / name).unlink(missing_ok=True)
                has_stepped = True
                on_step(record)
                _say(watchdog(record), on_phase)
                _say(pace(record.step + 1), on_phase)
                save()
            _say(watchdog.rest(), on_phase)
        except (KeyboardInterrupt, RuntimeError, MemoryError):
            if has_stepped or is_ours:  # else the folder may hold an older run with its results
                save.attempt()
            raise
        seconds = {"optimize": time.perf_counter() - began}
        save.finish()
        on_phase("measuring and writing files")
        seconds["cpu"] = time.process_time() - cpu
        account = Account(seconds, began=start, warnings=[*warnings, *watchdog.warnings.values()])
        report = write_results(experiment, out, account, in_full, with_mesh)
        for warning in report["warnings"]:
            if warning not in account.warnings:
                on_phase(warning)
        return report


def take_part(config: ExperimentConfig, split: Split, resume: Path | None = None) -> None:
    """The steps of a run in processes other than rank 0, which alone evaluates and writes."""
    check_config(config)
    prior = read_prior(config)
    experiment = (
        Experiment(config, prior, split=split)
        if resume is None
        else resumed(read_newest(resume), config, prior, split)[0]
    )
    for _ in experiment.steps():
        pass


def _begun(
    config: ExperimentConfig,
    prior: TextPrior,
    resume: Path | None,
    out: Path,
    split: Split,
    on_phase: Callable[[str], None],
) -> tuple[Experiment, bool]:
    """The experiment before its next step, and whether the file in `out` is of this run."""
    if resume is None:
        return Experiment(config, prior, split=split), False
    stored = read_newest(resume)
    experiment, changed = resumed(stored, config, prior, split)
    _say(stored.warning, on_phase)
    for text in changed:
        on_phase(f"changed since the checkpoint: {text}")
    return experiment, not stored.warning and Path(stored.source).resolve() == (out / NEWEST).resolve()


def _say(text: str, on_phase: Callable[[str], None]) -> None:
    if text:
        on_phase(text)
