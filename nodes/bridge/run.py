"""One optimisation as a node runs it: models loaded, progress shown, results as ComfyUI's types."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import CameraConfig, orbit
from ...tbsd_core.guidance.base import TrainingGuidance
from ...tbsd_core.optim import (
    Curves,
    OptimConfig,
    OptimState,
    Snapshot,
    Watchdog,
    create_adapter,
    go_on,
    not_finite,
    optimize,
    take_snapshot,
)
from ...tbsd_core.scenes import RenderOutput, Scene
from ...tbsd_core.scenes.stored import copy_scene
from .events import send_step
from .files import to_image
from .prior import ComfyPrior, prior_device, with_prior
from .progress import SHOWN, RunProgress, to_pil
from .runs import Run, open_run
from .scenes import remember_run, run_of

if TYPE_CHECKING:
    from ..sockets import GuidedModel

PREVIEW_VIEWS = 8
AUTOSAVE_SECONDS = 60.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    scene: Scene
    images: Tensor  # IMAGE [B, H, W, 3]: the pictures, or views on a turn around the object
    curves: Curves


def run(
    guided: GuidedModel,
    scene: Scene,
    cameras: CameraConfig,
    config: OptimConfig,
    node_id: str | None,
    workflow: str | None = None,
    resume: bool = False,  # go on with the run that the scene comes from
) -> RunResult:
    """Optimise a copy of `scene`. The panel may end it early and keep what there is; cancelling raises ComfyUI's
    interrupt exception within one step. What ends before its time leaves scene and run in the output folder.

    Raises:
        ValueError: there is no run to go on with, or it does not fit.
    """
    earlier = run_of(scene)
    if resume and earlier is None:
        raise ValueError(
            "resume is on, and the scene comes from no run: connect Load Scene with the file of a run, or the scene of "
            "another optimiser, or turn resume off."
        )

    def body(prior: ComfyPrior) -> RunResult:
        trained = copy_scene(scene, prior_device(guided.model))
        state = OptimState.create(trained, config, create_adapter(prior, guided.guidance, config.seed))
        changed = go_on(earlier, state, config) if resume and earlier is not None else []
        curves, watchdog = Curves(), Watchdog(trained.uses_cameras)

        def snapshot() -> Snapshot:
            return take_snapshot(state, config)

        with watched(open_run(config.n_steps, node_id, workflow), trained, snapshot) as shown:
            progress = RunProgress(config.n_steps, node_id, shown)
            if changed:
                shown.warn(f"Going on after step {state.step} with other settings: {'; '.join(changed)}.")
            saved_at = time.monotonic()
            for record in optimize(prior, guided.prompts.set, guided.guidance, trained, cameras, config, state):
                curves.add(record)
                is_last = shown.stop_wanted
                progress(record.step + 1, pictures_of(record.render, prior, SHOWN), record, is_last)
                advice = watchdog(record)
                if advice:
                    shown.warn(advice)
                if shown.answer(trained, snapshot) or advice:
                    send_step(shown.event())
                if is_last:
                    break
                if time.monotonic() - saved_at >= AUTOSAVE_SECONDS:
                    autosave(shown, trained, snapshot)
                    saved_at = time.monotonic()
            advice = watchdog.rest()
            if advice:
                shown.warn(advice)
            remember_run(trained.cpu(), snapshot())  # on the CPU its pictures are made, and it travels on
            check_finite(trained)
            pictures = final_pictures(trained, prior, cameras, config)
            shown.show(to_pil(pictures), final=True)
        return RunResult(trained, to_image(pictures), curves)

    encoded = config.encode_size or config.size
    shape = (config.views_per_step, encoded, encoded)
    trains = isinstance(guided.guidance, TrainingGuidance)
    return with_prior(guided.model, guided.vae, guided.prompts.conditions(), shape, body, trains)


@contextmanager
def watched(run: Run, scene: Scene, snapshot: Callable[[], Snapshot]) -> Iterator[Run]:
    """Tell the panels how a run ends, and keep scene and state of one that does not reach its end."""
    status, error = "done", ""
    try:
        yield run
        status = "stopped" if run.step < run.n_steps else "done"
    except comfy.model_management.InterruptProcessingException:
        status = "interrupted"
        if run.step:
            keep(run, scene, snapshot, "interrupted")
        raise
    except BaseException as reason:
        status, error = "failed", f"{type(reason).__name__}: {reason}"
        if run.step:
            keep(run, scene, snapshot, "failed")
        raise
    else:
        run.drop_autosaves()
    finally:
        run.finish(status, error)
        send_step(run.event())


def keep(run: Run, scene: Scene, snapshot: Callable[[], Snapshot], kind: str) -> None:
    """Save what there is of a run; a failure is logged and never takes the place of the reason for its end."""
    try:
        name = run.save(scene, kind, snapshot())
    except Exception:
        logger.exception("The scene of the run that was %s could not be saved.", kind)
    else:
        logger.info("%s after %d of %d steps; scene and run are output/%s", kind, run.step, run.n_steps, name)


def autosave(run: Run, scene: Scene, snapshot: Callable[[], Snapshot]) -> None:
    """Save the state for the case of a crash; a full disk does not end the run."""
    try:
        run.autosave(scene, snapshot())
    except Exception as error:  # the file format's library has a type of its own for full disks
        run.warn(f"The state could not be saved ({error}); the run goes on. Free space in the output folder.")


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
