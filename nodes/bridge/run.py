"""One optimisation as a node runs it: models loaded, progress shown, results as ComfyUI's types."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import comfy.model_management
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import CameraConfig, orbit
from ...tbsd_core.experiment import Autosave, Experiment, ExperimentConfig, StoredRun
from ...tbsd_core.guidance.base import TrainingGuidance
from ...tbsd_core.optim import Curves, OptimConfig, Watchdog, not_finite
from ...tbsd_core.scenes import RenderOutput, Scene
from ...tbsd_core.scenes.stored import copy_scene
from .events import send_step
from .files import to_image
from .prior import ComfyPrior, with_prior
from .progress import SHOWN, RunProgress, to_pil
from .runs import Run, open_run
from .scenes import remember_run, run_of

if TYPE_CHECKING:
    from ..sockets import GuidedModel

PREVIEW_VIEWS = 8
AUTOSAVE_SECONDS = 60.0
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    scene: Scene
    images: Tensor  # IMAGE [B, H, W, 3]: the pictures, or views on a turn around the object
    curves: Curves


def run(
    guided: GuidedModel,
    scene: Scene,
    config: ExperimentConfig,
    node_id: str | None,
    workflow: str | None = None,
    resume: bool = False,  # go on with the run that the scene comes from
) -> RunResult:
    """Optimise a copy of `scene`. The panel may end it early and keep what there is; cancelling raises ComfyUI's
    interrupt exception within one step. What ends before its time leaves scene and run in the output folder.

    Raises:
        ValueError: there is no run to go on with, or it does not fit.
    """
    earlier = run_to_go_on_with(scene, config.optim.n_steps) if resume else None

    def body(prior: ComfyPrior) -> RunResult:
        experiment = begun(config, prior, guided, scene)
        trained, optim = experiment.scene, config.optim
        changed = [] if earlier is None else experiment.restore(earlier)
        changed = [text for text in changed if not text.startswith("mesh.")]  # the scene holds what it paints
        curves, watchdog = experiment.curves, Watchdog(trained.uses_cameras)
        with watched(open_run(optim.n_steps, node_id, workflow), experiment) as shown:
            progress = RunProgress(optim.n_steps, node_id, shown)
            if changed:
                shown.warn(f"Going on after step {experiment.state.step} with other settings: {'; '.join(changed)}.")
            save = Autosave(shown.autosaved(), experiment, AUTOSAVE_SECONDS, keep_previous=True, say=shown.warn)
            for record in experiment.steps():
                is_last = shown.stop_wanted
                progress(record.step + 1, pictures_of(record.render, prior, SHOWN), record, is_last)
                advice = watchdog(record)
                if advice:
                    shown.warn(advice)
                if shown.answer(experiment) or advice:
                    send_step(shown.event())
                if is_last:
                    break
                save()
            advice = watchdog.rest()
            if advice:
                shown.warn(advice)
            remember_run(trained.cpu(), experiment.stored())  # on the CPU its pictures are made, and it travels on
            check_finite(trained)
            pictures = final_pictures(trained, prior, config.cameras, optim)
            shown.show(to_pil(pictures), final=True)
        return RunResult(trained, to_image(pictures), curves)

    return with_models([guided], config.optim, body)


def run_to_go_on_with(scene: Scene, n_steps: int) -> StoredRun:
    """The run that a scene comes from. Raises ValueError if there is none, or nothing left to do of it."""
    earlier = run_of(scene)
    if earlier is None:
        raise ValueError(
            "resume is on, and the scene comes from no run: connect Load Scene with the file of a run, or the scene of "
            "another optimiser, or turn resume off."
        )
    if earlier.step >= n_steps:
        raise ValueError(
            f"The run of this scene has done {earlier.step} steps, and steps is {n_steps}. Set steps to more "
            "to go on with it, or turn resume off to begin a new run."
        )
    return earlier


def begun(config: ExperimentConfig, prior: ComfyPrior, guided: GuidedModel, scene: Scene) -> Experiment:
    """The experiment of a graph before its first step, on a copy of its scene."""
    return Experiment(config, prior, prompts=guided.prompts.set, scene=copy_scene(scene, config.device))


def with_models(guided: Sequence[GuidedModel], optim: OptimConfig, body: Callable[[ComfyPrior], T]) -> T:
    """Call `body` with the prior of all guidances, loaded once with room for the views of a step.

    Raises:
        ValueError: they have different models.
    """
    first = guided[0]
    if any(g.model is not first.model or g.vae is not first.vae for g in guided):
        raise ValueError(
            "The guidances to compare must have the same MODEL and VAE. Connect all of them to the same loader."
        )
    conditions = [condition for g in guided for condition in g.prompts.conditions()]
    encoded = optim.encode_size or optim.size
    trains = any(isinstance(g.guidance, TrainingGuidance) for g in guided)
    return with_prior(first.model, first.vae, conditions, (optim.views_per_step, encoded, encoded), body, trains)


@contextmanager
def watched(run: Run, experiment: Experiment) -> Iterator[Run]:
    """Tell the panels how a run ends, and keep scene and state of one that does not reach its end."""
    status, error = "done", ""
    try:
        yield run
        status = "stopped" if run.step < run.n_steps else "done"
    except comfy.model_management.InterruptProcessingException:
        status = "interrupted"
        if run.step:
            keep(run, experiment, "interrupted")
        raise
    except BaseException as reason:
        status, error = "failed", f"{type(reason).__name__}: {reason}"
        if run.step:
            keep(run, experiment, "failed")
        raise
    else:
        run.drop_autosaves()
    finally:
        run.finish(status, error)
        send_step(run.event())


def keep(run: Run, experiment: Experiment, kind: str) -> None:
    """Save what there is of a run; a failure is logged and never takes the place of the reason for its end."""
    try:
        name = run.save(experiment, kind)
    except Exception:
        logger.exception("The scene of the run that was %s could not be saved.", kind)
    else:
        logger.info("%s after %d of %d steps; scene and run are output/%s", kind, run.step, run.n_steps, name)


def check_finite(scene: Scene) -> None:
    """Raise RuntimeError, with advice, for a scene whose values are not finite."""
    broken = not_finite(scene)
    if broken:
        raise RuntimeError(broken)


def pictures_of(render: RenderOutput, prior: ComfyPrior, most: int | None = None) -> Callable[[], Tensor]:
    """A function that returns the pictures [B, 3, H, W] of a render, at `most` so many; latents are decoded only when
    it is called."""
    return lambda: render.rgb[:most] if render.latents is None else prior.decode(render.latents[:most])


@torch.no_grad()
def final_pictures(scene: Scene, prior: ComfyPrior, cameras: CameraConfig, config: OptimConfig) -> Tensor:
    """The finished pictures, or views of the finished object, [B, 3, H, W]."""
    n = PREVIEW_VIEWS if scene.uses_cameras else config.views_per_step
    elevation = (cameras.elevation_min + cameras.elevation_max) / 2
    turn = orbit(n, elevation, cameras.distance, cameras.fov_y)
    if not scene.uses_cameras:
        return pictures_of(scene.render(turn, config.size, config.size), prior)()
    return torch.cat([scene.render(turn[i : i + 1], config.size, config.size).rgb for i in range(n)])
