"""The core's analyses on ComfyUI's models: loaded once for all runs, with progress, preview and interrupt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from torch import Tensor

from ...tbsd_core.analysis.directions import DirectionsConfig, check_inspected, directions_sheet, inspect_directions
from ...tbsd_core.analysis.path import ObjectivePath, PathConfig, objective_paths, path_sheet
from ...tbsd_core.analysis.pictures import Result, front, view, watch_pictures
from ...tbsd_core.analysis.sheet import Sheet
from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.optim import OptimConfig
from ...tbsd_core.optim.resolution import enlarged
from ...tbsd_core.optional import require
from ...tbsd_core.scenes import Scene
from ...tbsd_core.scenes.stored import copy_scene
from ...tbsd_core.study import Entry, Failure, Host, StudyStep, with_labels
from .autograd import cloned
from .compat import available_memory
from .config import config_of
from .prior import ComfyPrior, prior_device, with_prior
from .progress import SHOWN, RunProgress
from .regions import with_region
from .run import check_source, pictures_of, with_models

if TYPE_CHECKING:
    from ..sockets import GuidedModel


logger = logging.getLogger(__name__)


def make_entries(
    guided: Sequence[GuidedModel],
    scene: Scene,
    cameras: CameraConfig,
    optim: OptimConfig,
    own_timesteps: bool,  # see config_of
) -> list[Entry]:
    """One run per guidance from the same start, with labels that tell them apart."""
    for g in guided:
        check_source(g, scene)
    scene = with_region(scene, None, goes_on=False)
    configs = [config_of(g, scene, cameras, optim, own_timesteps) for g in guided]
    return with_labels(
        [
            Entry(
                label="",
                config=config,
                prompts=g.prompts.set,
                start=scene,
                source=g.source,
                reference=g.prompts.reference,
            )
            for g, config in zip(guided, configs, strict=True)
        ]
    )


def run_sheet(
    guided: Sequence[GuidedModel],
    entries: Sequence[Entry],
    at: Sequence[float],
    node_id: str | None,
    sheet: Callable[[list[Result]], Sheet],
) -> Sheet:
    """Run all entries with one loading of the models and make the sheet of their results."""

    def body(prior: ComfyPrior) -> Sheet:
        results: list[Result] = []
        _show(watch_pictures(entries, prior, results, at, host=host_of(guided[0])), prior, node_id)
        return sheet(results)

    require("matplotlib")  # before a long run rather than after it
    return with_models(guided, entries[0].config.optim, body)


def run_paths(
    guided: Sequence[GuidedModel], entries: Sequence[Entry], config: PathConfig, node_id: str | None, title: str
) -> Sheet:
    """The paths of all guidances in the plane of the two objectives."""

    def body(prior: ComfyPrior) -> Sheet:
        results: list[Result] = []
        paths: list[ObjectivePath] = []
        _show(objective_paths(entries, prior, config, results, paths, host_of(guided[0])), prior, node_id)
        return path_sheet(paths, results, config, title)

    require("matplotlib")  # before a long run rather than after it
    return with_models(guided, entries[0].config.optim, body)


def run_directions(
    guided: GuidedModel,
    subject: Tensor | Scene,  # an IMAGE [B, H, W, 3], or a scene
    cameras: CameraConfig,
    size: int,
    config: DirectionsConfig,
    node_id: str | None,
    title: str,
) -> Sheet:
    """The directions of pictures, or of a scene's picture (an object's from the front) as the model sees it in a
    run."""
    check_inspected(guided.guidance)
    factor = guided.vae.spacial_compression_encode()
    if isinstance(subject, Tensor):
        encode_size, (height, width) = None, subject.shape[1:3]
    else:
        encode_size = config_of(guided, subject, cameras, OptimConfig(size=size)).optim.encode_size
        height = width = encode_size or size

    def body(prior: ComfyPrior) -> Sheet:
        device, views = prior_device(guided.model), None
        if isinstance(subject, Tensor):
            images = cropped(cloned(subject).movedim(-1, 1)[:, :3].to(device), factor)
        else:
            shown = copy_scene(subject, device)
            images = enlarged(view(shown, prior, cameras, size), encode_size)
            views = front(shown, cameras)[1]
        with torch.no_grad():
            latents = torch.cat([prior.encode(part) for part in images.split(1)])
        progress = RunProgress(len(latents) * len(config.t), node_id)
        rows = []
        for row in inspect_directions(prior, guided.prompts.set, latents, config, guided.guidance, views):
            rows.append(row)
            progress(len(rows), lambda row=row: prior.decode(row.denoised))
        return directions_sheet(rows, prior, config, title)

    require("matplotlib")
    prompts, shape = guided.prompts, (config.n_noises, height, width)
    return with_prior(guided.model, guided.vae, prompts.conditions(), shape, body, negatives=prompts.negatives())


def cropped(images: Tensor, factor: int) -> Tensor:
    """The middle of images [B, C, H, W], with sides that are multiples of `factor`, as VAE Encode takes it."""
    height, width = (side // factor * factor for side in images.shape[2:])
    if min(height, width) == 0:
        raise ValueError(f"The image is smaller than one latent cell of {factor} pixels: {list(images.shape[2:])}.")
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def title_of(guided: GuidedModel) -> str:
    """The prompt, or nothing if the prompts came as conditioning."""
    return guided.prompts.config.prompt if guided.prompts.config is not None else ""


def host_of(guided: GuidedModel) -> Host:
    """ComfyUI around a study: its interrupt, and its memory beside the loaded models."""
    interrupts = (comfy.model_management.InterruptProcessingException,)
    return Host(interrupts, lambda device: int(available_memory(guided.model, device)))


def _show(steps: Iterable[StudyStep | Failure], prior: ComfyPrior, node_id: str | None) -> None:
    progress = None
    for step in steps:
        progress = progress or RunProgress(step.total, node_id)
        if isinstance(step, Failure):  # the sheet says it, too
            logger.warning("Node %s: %s failed: %s", node_id, step.label, step.reason)
            continue
        if step.note:
            logger.warning("Node %s: %s: %s", node_id, step.label, step.note)
        if step.record is not None:
            progress(step.done, pictures_of(step.record.render, prior, SHOWN))
