"""Several optimisations one after the other, from the same start and with the same draws."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import comfy.model_management
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.configuration import all_settings
from ...tbsd_core.experiment import Experiment, ExperimentConfig, evaluations_per_view, matched_steps, size_warning
from ...tbsd_core.grid import labelled_grid
from ...tbsd_core.guidance import method_of
from ...tbsd_core.guidance.base import has_source
from ...tbsd_core.media import write_png, write_strip
from ...tbsd_core.metrics import image_statistics
from ...tbsd_core.optim import OptimConfig
from ...tbsd_core.optim.hints import ControlConfig
from ...tbsd_core.scenes import Scene
from ...tbsd_core.study import Row, made_to_fit, markdown, montage, reason_of, table_row, write_csv
from ...tbsd_core.study.watch import Measures
from .compat import available_memory
from .config import config_of
from .distilled import distilled_warning
from .files import new_output, to_image
from .noise_levels import noise_levels
from .prior import ComfyPrior, prior_device
from .progress import SHOWN, RunProgress
from .prompts import Prompts, check_conditions, with_source
from .queued import Queued
from .run import begun, final_pictures, pictures_of, with_models

if TYPE_CHECKING:
    from ..sockets import GuidedModel


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One cell: where it stands in the grid, and its run."""

    row: int
    column: int
    label: str
    guided: GuidedModel
    config: ExperimentConfig

    def line(self, **ended: Any) -> Row:
        """Its line of the table; `ended`: seconds and metrics, or the error."""
        optim = self.config.optim
        cost = {"steps": optim.n_steps, "evaluations": evaluations_per_view(self.config, n_timesteps(self.guided))}
        return table_row(self.label, self.config.prompt.prompt, optim.draw_seeds, **cost, **ended)


@dataclass(frozen=True)
class Comparison:
    grid: Tensor  # IMAGE [1, H, W, 3]
    images: Tensor  # IMAGE [B, h, w, 3]: the pictures of all finished cells, in the order of the table
    table: str  # Markdown, and what to know of the models


def plan(
    columns: Sequence[tuple[str, GuidedModel]],
    prompts: Sequence[Prompts],  # instead of the guidance's; none = each its own
    seeds: Sequence[int],
    scene: Scene,
    cameras: CameraConfig,
    optim: OptimConfig,
    match_evaluations: bool,  # as many noise predictions as the first column, instead of as many steps
    own_timesteps: bool,  # see config_of
) -> list[Job]:
    """The cells, prompts and seeds as rows. Raises ValueError if a method lacks a condition it needs."""
    jobs = []
    for p, own in enumerate(prompts or [None]):
        for k, seed in enumerate(seeds):
            budget: float | None = None
            for c, (label, guided) in enumerate(columns):
                cell = guided if own is None else replace(guided, prompts=edited(own, guided))
                check_conditions(cell.prompts, cell.guidance)
                config = config_of(cell, scene, cameras, replace(optim, seed=seed), own_timesteps)
                if match_evaluations:
                    n_times = n_timesteps(guided)
                    budget = evaluations_per_view(config, n_times) if budget is None else budget
                    n_steps = matched_steps(config, budget, n_times) if c else optim.n_steps
                    config = replace(config, optim=replace(config.optim, n_steps=n_steps))
                jobs.append(Job(p * len(seeds) + k, c, label, cell, config))
    return jobs


def settings_of(guided: GuidedModel, own_prompts: bool) -> dict[str, Any]:
    """The settings that tell a column from another one of its name, by their dotted names.

    Args:
        own_prompts: whether it runs on the prompts of its guidance; if not, only the source of an edit is its own.
    """
    prompt = {} if guided.prompts.config is None else all_settings(guided.prompts.config)
    prompt = {name: value for name, value in prompt.items() if own_prompts or name == "source"}
    control = ControlConfig() if guided.control is None else guided.control.config
    method = {"method": method_of(guided.guidance).label, **all_settings(guided.guidance.config)}
    return {**method, **prompt, **all_settings(control, "control.")}


def edited(prompts: Prompts, guided: GuidedModel) -> Prompts:
    """Other prompts for a guidance: if it edits, they start from what its own say of the source."""
    if not has_source(guided.guidance) or "source" in prompts.set.names:
        return prompts
    return with_source(prompts, "" if guided.prompts.config is None else guided.prompts.config.source)


def n_timesteps(guided: GuidedModel) -> int:
    """Of the model's schedule; some of ComfyUI's have 10,000."""
    return noise_levels(guided.model.model.model_sampling)[0].n_timesteps


def compare(jobs: Sequence[Job], scene: Scene, filename_prefix: str, queued: Queued) -> Comparison:
    """Run all cells; each picture is in the output folder before the next cell begins. A cell that fails is marked.

    Raises:
        RuntimeError: every cell failed; with the reason of the first.
    """
    folder, _ = new_output(filename_prefix, "")
    progress = RunProgress(sum(job.config.optim.n_steps for job in jobs), queued.node or None)
    warnings = warnings_of(jobs, queued)
    for text in warnings:
        logger.warning("Node %s: %s", queued.node, text)
    told: set[Measures] = set()
    tiles: dict[tuple[int, int], Tensor | str] = {}
    rows: list[Row] = []
    finished: list[Tensor] = []
    done = 0

    def begin(job: Job, experiment: Experiment) -> None:
        model = job.guided.model
        note = made_to_fit(experiment, int(available_memory(model, prior_device(model))), told)
        if note:
            warnings.append(f"{job.label}: {note}")
            logger.warning("Node %s: %s", queued.node, warnings[-1])

    for job in jobs:
        began = time.monotonic()
        try:
            views = run_cell(job, scene, lambda n, preview, at=done: progress(at + n, preview), begin)
        except comfy.model_management.InterruptProcessingException:
            raise
        except Exception as error:  # of this cell; the others must still run
            reason = reason_of(error)
            tiles[job.row, job.column] = f"failed\n{reason}"
            rows.append(job.line(error=reason))
        else:
            tiles[job.row, job.column] = montage(views)
            measured = {name: float(v.mean()) for name, v in image_statistics(views).items()}
            rows.append(job.line(seconds=time.monotonic() - began, metrics=measured))
            finished.append(views)
            write_strip(views, folder / f"cell_{job.row + 1:02d}_{job.column + 1:02d}.png")
        done += job.config.optim.n_steps
        write_csv(rows, folder / "table.csv")
    if not finished:
        raise RuntimeError(f"Every cell failed. The first error: {rows[0]['error']}")
    rows_named, columns_named = names_of(jobs)
    places = [[tiles.get((r, c)) for c in columns_named] for r in rows_named]
    grid = labelled_grid(places, list(rows_named.values()), list(columns_named.values()))
    write_png(grid, folder / "grid.png")
    return Comparison(to_image(grid[None]), to_image(torch.cat(finished)), "\n\n".join([markdown(rows), *warnings]))


def names_of(jobs: Sequence[Job]) -> tuple[dict[int, str], dict[int, str]]:
    """The labels of rows and columns in the picture, in their order. A prompt stands where it belongs: at its row if
    all columns have it, else at its column."""
    prompts: dict[int, set[str]] = {}
    for job in jobs:
        prompts.setdefault(job.row, set()).add(job.config.prompt.prompt)
    of_rows = all(len(found) == 1 for found in prompts.values())
    rows, columns = dict[int, str](), dict[int, str]()
    for job in sorted(jobs, key=lambda job: (job.row, job.column)):
        prompt, seed = job.config.prompt.prompt, f"seed {job.config.optim.seed}"
        rows[job.row] = f"{prompt}\n{seed}" if of_rows else seed
        is_told = of_rows or " ".join(prompt.split()) in job.label
        columns[job.column] = job.label if is_told else f"{job.label}\n{prompt}"
    return rows, columns


def warnings_of(jobs: Sequence[Job], queued: Queued) -> list[str]:
    """Notes on the models and on the sizes that they see, each once."""
    sizes = [size_warning(job.config) for job in jobs]
    distilled = distilled_warning(jobs[0].guided.model, queued.prompt, queued.node)
    return list(dict.fromkeys(text for text in (distilled, *sizes) if text))


def run_cell(job: Job, scene: Scene, on_step: Callable, begin: Callable[[Job, Experiment], None]) -> Tensor:
    """The finished pictures [B, 3, H, W] of one cell, on the CPU. `begin` sees its experiment before the first step."""
    config = job.config

    def body(prior: ComfyPrior) -> Tensor:
        experiment = begun(config, prior, job.guided, scene)
        begin(job, experiment)
        for record in experiment.steps():
            on_step(record.step + 1, pictures_of(record.render, prior, SHOWN))
        return final_pictures(experiment.scene, prior, config.cameras, config.optim).float().cpu()

    return with_models([job.guided], config.optim, body)
