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
from ...tbsd_core.experiment import Autosave, Experiment, ExperimentConfig, Pace, plan_of, size_warning
from ...tbsd_core.experiment.duration import first_full_step_of
from ...tbsd_core.guidance import has_source, method_of
from ...tbsd_core.guidance.base import TrainingGuidance
from ...tbsd_core.optim import Curves, OptimConfig, Watchdog, not_finite
from ...tbsd_core.scenes import RenderOutput, Scene
from ...tbsd_core.scenes.stored import copy_scene, is_untouched
from .compat import available_memory
from .distilled import distilled_warning
from .events import send_step
from .files import to_image
from .graph import ancestors, changes
from .prior import ComfyPrior, prior_device, with_prior
from .progress import SHOWN, RunProgress, to_pil
from .queued import Queued
from .runs import Run, open_run
from .scenes import Origin, origin_of, remember_run

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
    queued: Queued,
    resume: bool = False,  # resume the run that the scene comes from
) -> RunResult:
    """Optimise a copy of `scene`. The panel may end it early and keep the result so far; cancelling raises ComfyUI's
    interrupt exception within one step. Its folder in output/tbsd/runs has the state to resume from.

    Raises:
        ValueError: there is no run to resume, or it does not fit.
    """
    origin = run_to_go_on_with(scene, config.optim.n_steps) if resume else None
    shown = open_run(queued, config.optim.n_steps, origin and origin.id)

    def body(prior: ComfyPrior) -> RunResult:
        shown.enter("Preparing the run")
        send_step(shown.event())
        experiment = begun(config, prior, guided, scene)
        trained, optim = experiment.scene, config.optim
        if origin is not None:
            tell_changes(shown, origin, experiment.restore(origin.run))
        plan = plan_of(experiment, int(available_memory(guided.model, prior_device(guided.model))))
        plan.apply(experiment)
        shown.plan = plan.text
        for warning in (size_warning(config), distilled_warning(guided.model, queued.prompt, queued.node)):
            if warning:
                shown.warn(warning)
        shown.begin(experiment, "First step")
        send_step(shown.event())
        watchdog = Watchdog(trained.uses_cameras and not trained.fixed_geometry)
        progress = RunProgress(optim.n_steps, queued.node, shown)
        pace = Pace(optim.n_steps, plan.duration, full_from=first_full_step_of(experiment))
        save = None if shown.folder is None else autosave(shown, experiment)
        for record in experiment.steps():
            is_last = shown.stop_wanted
            progress(record.step + 1, pictures_of(record.render, prior, SHOWN), record, is_last)
            advice = watchdog(record)
            if advice:
                shown.warn(advice)
            measured = pace(record.step + 1)
            if measured:
                shown.plan = measured
            if shown.answer(experiment) or advice or measured:
                send_step(shown.event())
            if is_last:
                break
            if save is not None and save():
                shown.kept(experiment.state.step)
        advice = watchdog.rest()
        if advice:
            shown.warn(advice)
        check_finite(trained)
        shown.enter("Rendering the result")
        send_step(shown.event())
        pictures = final_pictures(trained, prior, config.cameras, optim)
        shown.show(to_pil(pictures), final=True)
        if save is not None and save.attempt():
            shown.kept(experiment.state.step)
        nodes = ancestors(queued.prompt, queued.node)  # on the CPU pictures of it are made, and it travels on
        remember_run(trained.cpu(), Origin(experiment.stored(), nodes, shown.folder and shown.id))
        return RunResult(trained, to_image(pictures), experiment.curves)

    with watched(shown):
        return with_models([guided], config.optim, body)


def run_to_go_on_with(scene: Scene, n_steps: int) -> Origin:
    """The run that a scene comes from. Raises ValueError if there is none, or it has done more steps than there are."""
    origin = origin_of(scene)
    if origin is None:
        raise ValueError(
            "resume is on, but the scene does not come from a run. Connect Load Scene with the file of a run, or "
            "the scene of another Optimize node, or turn resume off."
        )
    done = origin.run.step
    if done > n_steps or (done == n_steps and origin.id is None):  # the graph of one with a folder may not have ended
        raise ValueError(
            f"The run of this scene has done {done} steps, and steps is {n_steps}. Raise steps to resume it, or "
            "turn resume off to start a new run."
        )
    return origin


def tell_changes(shown: Run, origin: Origin, changed: list[str]) -> None:
    """Report, before the first step, how the settings differ from those that the resumed run had."""
    changed = [text for text in changed if not text.startswith("mesh.")]  # the scene holds what it paints
    if origin.nodes is not None:
        changed += changes(origin.nodes, ancestors(shown.queued.prompt, shown.queued.node))
    if origin.warning:
        shown.warn(origin.warning)
    if changed:
        shown.warn(f"Resuming after step {origin.run.step} with other settings: {'; '.join(changed)}.")
    if origin.told:
        shown.warn(f"The run keeps its own scene; the scene of the graph has no effect: {'; '.join(origin.told)}.")


def autosave(shown: Run, experiment: Experiment) -> Autosave:
    """Saves of a run to its folder."""
    assert shown.folder is not None
    texts = shown.queued.texts()
    return Autosave(shown.folder.state, experiment, AUTOSAVE_SECONDS, True, say=shown.warn, extra=texts)


def begun(config: ExperimentConfig, prior: ComfyPrior, guided: GuidedModel, scene: Scene) -> Experiment:
    """The experiment of a graph before its first step, on a copy of its scene.

    Raises:
        ValueError: its method edits, and there is nothing in the scene.
    """
    check_source(guided, scene)
    own = copy_scene(scene, config.device)
    prompts = guided.prompts
    return Experiment(
        config, prior, prompts=prompts.set, scene=own, source=guided.source, reference=prompts.reference
    )


def check_source(guided: GuidedModel, scene: Scene) -> None:
    """Raise ValueError, saying what to connect, for a method that edits a scene with nothing in it."""
    if guided.source is None and has_source(guided.guidance) and is_untouched(scene):
        spec = method_of(guided.guidance)
        raise ValueError(
            f"{spec.label} edits an existing scene, but there is nothing yet in this {type(scene).__name__}. "
            "Connect an image to Image Scene, turn on keep_colors of Mesh Texture Scene, or give it an optimised "
            "scene."
        )


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
    controls = [g.control for g in guided if g.control is not None]
    if any(c.net is not controls[0].net or c.config.kind != controls[0].config.kind for c in controls):
        raise ValueError(
            "The guidances to compare must have the same ControlNet and kind, or none. Connect all of them to the same "
            "loader and set the same kind; strengths may differ."
        )
    conditions = [condition for g in guided for condition in g.prompts.conditions()]
    negatives = [condition for g in guided for condition in g.prompts.negatives()]
    encoded = optim.encode_size or optim.size
    trains = any(isinstance(g.guidance, TrainingGuidance) for g in guided)
    shape, control = (optim.views_per_step, encoded, encoded), controls[0] if controls else None
    return with_prior(first.model, first.vae, conditions, shape, body, trains, control, negatives)


@contextmanager
def watched(run: Run) -> Iterator[None]:
    """Tell the panels how a run ends, and keep the state of one that does not reach its end."""
    status, error = "done", ""
    try:
        send_step(run.event())
        yield
        status = "stopped" if run.step < run.n_steps else "done"
    except comfy.model_management.InterruptProcessingException:
        status = "interrupted"
        keep(run)
        raise
    except BaseException as reason:
        status, error = "failed", f"{type(reason).__name__}: {reason}"
        keep(run)
        raise
    finally:
        run.finish(status, error)
        send_step(run.event())


def keep(run: Run) -> None:
    """Save the state of a run; a failure is logged and never hides the reason for its end."""
    experiment = run.experiment
    if experiment is None or run.folder is None or experiment.state.step in (run.resumed, run.folder.about.saved):
        return
    if not_finite(experiment.scene):
        logger.warning(
            "The state of the run in %s has numbers that are not finite; the state before it is kept.", run.folder.path
        )
        return
    try:
        experiment.save(run.folder.state, keep_previous=True, extra=run.queued.texts())
    except Exception:
        logger.exception("The state of the run in %s could not be saved.", run.folder.path)
    else:
        run.kept(experiment.state.step)
        logger.info("The run in %s can be continued after step %d.", run.folder.path, experiment.state.step)


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
    turn = orbit(n, elevation, *cameras.farthest)
    if not scene.uses_cameras:
        return pictures_of(scene.render(turn, config.size, config.size), prior)()
    return torch.cat([scene.render(turn[i : i + 1], config.size, config.size).rgb for i in range(n)])
