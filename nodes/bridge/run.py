"""One optimisation as a node runs it: models loaded, progress shown, results as ComfyUI's types."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import CameraConfig, orbit
from ...tbsd_core.optim import Curves, OptimConfig, OptimState, create_adapter, optimize
from ...tbsd_core.scenes import RenderOutput, Scene
from ...tbsd_core.scenes.files import copy_scene
from .events import send_step
from .files import to_image
from .prior import ComfyPrior, prior_device, with_prior
from .progress import RunProgress, to_pil
from .runs import Run, open_run

if TYPE_CHECKING:
    from ..sockets import GuidedModel

PREVIEW_VIEWS = 8
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
) -> RunResult:
    """Optimise a copy of `scene`. The panel may end it early and keep what there is; cancelling raises ComfyUI's
    interrupt exception within one step and leaves the scene so far in the output folder."""

    def body(prior: ComfyPrior) -> RunResult:
        trained = copy_scene(scene, prior_device(guided.model))
        state = OptimState.create(trained, config, create_adapter(prior, guided.guidance, config.seed))
        curves = Curves()
        with watched(open_run(config.n_steps, node_id, workflow), trained) as shown:
            progress = RunProgress(config.n_steps, node_id, shown)
            for record in optimize(prior, guided.prompts.set, guided.guidance, trained, cameras, config, state):
                curves.add(record)
                is_last = shown.stop_wanted
                progress(record.step + 1, record.scalars, pictures_of(record.render, prior), is_last)
                if shown.answer(trained):
                    send_step(shown.event())
                if is_last:
                    break
            trained.cpu()  # where its pictures for ComfyUI are made, and what travels on
            pictures = final_pictures(trained, prior, cameras, config)
            shown.show(to_pil(pictures), final=True)
        return RunResult(trained, to_image(pictures), curves)

    encoded = config.encode_size or config.size
    shape = (config.views_per_step, encoded, encoded)
    return with_prior(guided.model, guided.vae, guided.prompts.conditions(), shape, body)


@contextmanager
def watched(run: Run, scene: Scene) -> Iterator[Run]:
    """Tell the panels how a run ends, and keep the scene of one that is cancelled."""
    status, error = "done", ""
    try:
        yield run
        status = "stopped" if run.step < run.n_steps else "done"
    except comfy.model_management.InterruptProcessingException:
        status = "interrupted"
        if run.step:
            keep_interrupted(run, scene)
        raise
    except BaseException as reason:
        status, error = "failed", f"{type(reason).__name__}: {reason}"
        raise
    finally:
        run.finish(status, error)
        send_step(run.event())


def keep_interrupted(run: Run, scene: Scene) -> None:
    """Save the scene of a cancelled run; a failure is logged and never takes the place of the cancelling."""
    try:
        name = run.save(scene, "interrupted")
    except Exception:
        logger.exception("The scene of the cancelled run could not be saved.")
    else:
        logger.info("Cancelled after %d of %d steps; the scene so far is output/%s", run.step, run.n_steps, name)


def pictures_of(render: RenderOutput, prior: ComfyPrior) -> Callable[[], Tensor]:
    """A function that returns the pictures [B, 3, H, W] of a render; latents are decoded only when it is called."""
    return lambda: render.rgb if render.latents is None else prior.decode(render.latents)


@torch.no_grad()
def final_pictures(scene: Scene, prior: ComfyPrior, cameras: CameraConfig, config: OptimConfig) -> Tensor:
    """The finished pictures, or views of the finished object, [B, 3, H, W]."""
    n = PREVIEW_VIEWS if scene.uses_cameras else config.views_per_step
    elevation = (cameras.elevation_min + cameras.elevation_max) / 2
    turn = orbit(n, elevation, cameras.distance, cameras.fov_y)
    if not scene.uses_cameras:
        return pictures_of(scene.render(turn, config.size, config.size), prior)()
    return torch.cat([scene.render(turn[i : i + 1], config.size, config.size).rgb for i in range(n)])
