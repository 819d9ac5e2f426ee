"""A report on a checkpoint of yours and your card, to attach to an issue: `make gpu-check ARGS='--checkpoint FILE'`.

Eight prompts as pictures and as NeRFs, by TBSD and by SDS, with the recommended settings and as many steps as the time
allows. The files (checkpoint_files.py) are written whenever a run ends, so that an interrupt loses nothing that is
finished.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tbsd_core.cameras.sampling import orbit
from tbsd_core.experiment import (
    Experiment,
    ExperimentConfig,
    default_config,
    distilled_warning,
    pictures,
    plain_config,
    plan_of,
    read_prior,
    rendered,
    size_warning,
)
from tbsd_core.experiment.config import DIFFUSERS
from tbsd_core.memory import available_bytes
from tbsd_core.optim import Curves, Watchdog
from tbsd_core.priors.base import TextPrior

from .cases import described, free_device_memory, synchronize
from .checkpoint_files import Files

DEMO = "demo"  # instead of a file: the model of this pack, to try the command
PROMPTS: dict[bool, tuple[str, ...]] = {  # by whether the model is the demo one, which knows few words
    False: (
        *("a photo of a pineapple", "a photo of a hamburger", "a corgi sitting", "an antique typewriter"),
        *("a peacock", "a red tulip in a pot", "a lighthouse on a rock", "a dolphin statue made of bronze"),
    ),
    True: (
        *("a brick house", "a dotted mushroom", "a striped ball", "a wooden box"),
        *("a marble pillar", "a checkered ring", "a marble crystal", "a striped cone"),
    ),
}


@dataclass(frozen=True)
class Kind:
    """A column of the sheet.

    Args:
        share: of the time of all runs of a prompt.
        most: steps; more of them would go beyond a first look at a model.
    """

    scene: str
    method: str
    share: float
    most: int

    @property
    def title(self) -> str:
        return f"{'NeRF' if self.scene == 'nerf' else 'picture'}, {self.method.upper()}"


KINDS = (
    Kind("latent", "tbsd", 0.07, 500),
    Kind("latent", "sds", 0.05, 500),
    Kind("nerf", "tbsd", 0.48, 2000),
    Kind("nerf", "sds", 0.4, 2000),
)
FEWEST, QUICK_STEPS = 20, 3
QUICK_PROMPTS = 2
QUICK_SIZE = 64  # of a picture
PROBED = 3  # steps of full size, the first of which warms up
SHOWN = 256  # pixels of a place of the sheet
TURN = 4  # views of an object


@dataclass(frozen=True)
class Subject:
    """The subject of the report, and its settings."""

    source: str  # a checkpoint, a pipeline folder, or DEMO
    device: str
    quick: bool

    @property
    def is_demo(self) -> bool:
        return self.source == DEMO

    @property
    def name(self) -> str:
        return Path(self.source).name

    @property
    def prompts(self) -> tuple[str, ...]:
        return PROMPTS[self.is_demo][: QUICK_PROMPTS if self.quick else None]

    def config(self, prompt: str, kind: Kind, n_steps: int) -> ExperimentConfig:
        """The recommended settings for so many steps."""
        prior = "learned" if self.is_demo else DIFFUSERS + self.source
        found = default_config(prompt, kind.scene, kind.method, prior, n_steps, device=self.device)
        if not self.quick:
            return found
        optim = replace(found.optim, views_per_step=min(found.optim.views_per_step, 2))
        if kind.scene == "nerf":
            optim = replace(optim, size=min(optim.size, 32), start_size=None)
            found = replace(found, scene=replace(found.scene, resolutions=(9, 17), n_samples=12))
        else:
            size = min(optim.size, QUICK_SIZE)
            found = replace(found, scene=replace(found.scene, size=found.scene.size * size // optim.size))
            optim = replace(optim, size=size)
        return replace(found, optim=optim)


def report(subject: Subject, files: Files, seconds: float) -> bool:
    """Run everything that there is time for; whether no run failed. Raises as `default_config` and `read_prior`."""
    end = time.monotonic() + seconds
    first = subject.config(subject.prompts[0], KINDS[0], FEWEST)
    prior = read_prior(first)
    files.data["warnings"] = [text for text in (distilled_warning(first), size_warning(first)) if text]
    pace = {kind: probed(subject, kind, prior, files) for kind in KINDS}
    left = max(1.0, end - time.monotonic())
    for kind in KINDS:
        time_each = left * kind.share / len(subject.prompts)
        n_steps = QUICK_STEPS if subject.quick else int(min(kind.most, max(FEWEST, time_each / pace[kind])))
        config = subject.config(subject.prompts[0], kind, n_steps)
        files.data["settings"][kind.title] = plain_config(config) | {"prior": subject.name}
    files.write()
    for row, prompt in enumerate(subject.prompts):
        for column, kind in enumerate(KINDS):
            n_steps = files.data["settings"][kind.title]["optim"]["n_steps"]
            if time.monotonic() > end and not subject.quick:
                files.add(row, column, None, {"status": "skipped", "reason": "the time was over"}, write=False)
                continue
            Cell(subject, files, row, column).run(subject.config(prompt, kind, n_steps), prior, end)
    files.write()
    return all(run["status"] != "failed" for run in files.data["runs"])


def probed(subject: Subject, kind: Kind, prior: TextPrior, files: Files) -> float:
    """Seconds of a step of full size, before anything is decided. Its expected memory is written, too."""
    config = subject.config(subject.prompts[0], kind, PROBED)
    config = replace(config, optim=replace(config.optim, start_size=None))
    experiment = planned(config, prior, files, kind.title)
    times, start = [], time.perf_counter()
    for _ in experiment.steps():
        synchronize(subject.device)
        times.append(time.perf_counter() - start)
        start = time.perf_counter()
    files.data["seconds of a step of full size"][kind.title] = round(statistics.median(times[1:]), 4)
    files.write()
    return max(1e-4, statistics.median(times[1:]))


def planned(config: ExperimentConfig, prior: TextPrior, files: Files, title: str) -> Experiment:
    """The experiment with a plan that fits the device, whose words are kept."""
    experiment = Experiment(config, prior)
    plan = plan_of(experiment, available_bytes(torch.device(config.device)))
    plan.apply(experiment)
    files.data["plan"][title] = plan.text or "all views at once"
    return experiment


@dataclass(frozen=True)
class Cell:
    """One run, and its place on the sheet."""

    subject: Subject
    files: Files
    row: int
    column: int

    def run(self, config: ExperimentConfig, prior: TextPrior, end: float) -> None:
        """Run to the last step, or until the time is over. A run that is interrupted is kept before the interrupt
        propagates."""
        kind = KINDS[self.column]
        entry: dict[str, Any] = {"prompt": config.prompt.prompt, "run": kind.title, "steps": config.optim.n_steps}
        print(f"{entry['prompt']}, {kind.title}: {entry['steps']} steps", flush=True)
        reset_peak(self.subject.device)
        experiment: Experiment | None = None
        times: list[float] = []
        ended: Mapping[str, Any] = {"status": "ok"}
        watchdog = Watchdog(kind.scene == "nerf")
        try:
            experiment = planned(config, prior, self.files, kind.title)
            start = time.perf_counter()
            for record in experiment.steps():
                synchronize(self.subject.device)
                times.append(time.perf_counter() - start)
                watchdog(record)
                if time.monotonic() > end and not self.subject.quick:
                    ended = {"status": "cut short", "reason": "the time was over"}
                    break
                start = time.perf_counter()
            watchdog.rest()
        except Exception as error:  # is the result of this run and not the end of the others
            ended = {"status": "failed", **described(error)}
        except KeyboardInterrupt:
            ended = {"status": "interrupted"}
            raise
        finally:
            entry |= {**ended, "done": len(times), "warnings": list(watchdog.warnings.values())}
            if times:
                entry["seconds/step"] = round(statistics.median(times), 4)
            entry["peak GiB"] = peak_gib(self.subject.device)
            done = experiment is not None and bool(times)
            picture = shown(experiment) if done and experiment is not None else None
            curves = experiment.curves if experiment is not None else Curves()
            self.files.add(self.row, self.column, picture, entry, curves)
            del experiment
            free_device_memory()


@torch.no_grad()
def shown(experiment: Experiment) -> Tensor:
    """The picture [3, SHOWN, SHOWN], or four views on a turn in its place."""
    scene, config = experiment.scene, experiment.config
    if not scene.uses_cameras:
        size = config.optim.size
        images = pictures(scene.render(orbit(scene.n_images).to(config.device), size, size), experiment.prior)
        return resized(images[:1], SHOWN)[0]
    views, _ = rendered(scene, orbit(TURN, 15.0, *config.cameras.farthest), SHOWN // 2)
    top, bottom = (torch.cat(list(pair), dim=2) for pair in (views[:2], views[2:]))
    return torch.cat([top, bottom], dim=1).float().clamp(0, 1)


def resized(images: Tensor, size: int) -> Tensor:
    images = images.float().cpu()
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def reset_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_gib(device: str) -> float:
    """Of the run on a card; of the process so far on a CPU."""
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**30, 2)
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kib / 2**20, 2)
