"""Several optimisations one after the other, from the same start and with the same draws."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import comfy.model_management
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.comparison import count_evaluations, matched_steps, montage
from ...tbsd_core.grid import labelled_grid
from ...tbsd_core.guidance.base import TrainingGuidance
from ...tbsd_core.media import write_png, write_strip
from ...tbsd_core.metrics import image_statistics
from ...tbsd_core.optim import OptimConfig, OptimState, create_adapter, optimize
from ...tbsd_core.scenes import Scene
from ...tbsd_core.scenes.stored import copy_scene
from .files import new_output, to_image
from .prior import ComfyPrior, prior_device, with_prior
from .progress import SHOWN, RunProgress
from .prompts import Prompts, check_conditions
from .run import final_pictures, pictures_of

if TYPE_CHECKING:
    from ..sockets import GuidedModel

COLUMNS = ("method", "prompt", "seed", "steps", "evaluations")


@dataclass(frozen=True)
class Job:
    """One cell: where it stands in the grid, and its run."""

    row: int
    column: int
    label: str
    prompt: str
    guided: GuidedModel
    config: OptimConfig
    evaluations: int  # noise predictions per view


@dataclass(frozen=True)
class Comparison:
    grid: Tensor  # IMAGE [1, H, W, 3]
    images: Tensor  # IMAGE [B, h, w, 3]: the pictures of all finished cells, in the order of the table
    table: str  # Markdown


def plan(
    columns: Sequence[tuple[str, GuidedModel]],
    prompts: Sequence[Prompts],  # instead of those of the guidance; none = each its own
    seeds: Sequence[int],
    config: OptimConfig,
    match_evaluations: bool,
) -> list[Job]:
    """The cells, prompts and seeds as rows. Raises ValueError if a method lacks a condition it needs."""
    first = columns[0][1].guidance
    budget = count_evaluations(first, config.n_steps)
    jobs = []
    for p, own in enumerate(prompts or [None]):
        for k, seed in enumerate(seeds):
            for c, (label, guided) in enumerate(columns):
                cell = guided if own is None else replace(guided, prompts=own)
                check_conditions(cell.prompts, cell.guidance)
                steps = matched_steps(cell.guidance, budget) if match_evaluations else config.n_steps
                run = replace(config, n_steps=steps, seed=seed)
                text = cell.prompts.config.prompt if cell.prompts.config else "conditioning"
                row = p * len(seeds) + k
                jobs.append(Job(row, c, label, text, cell, run, count_evaluations(cell.guidance, steps)))
    return jobs


def compare(
    jobs: Sequence[Job], scene: Scene, cameras: CameraConfig, filename_prefix: str, node_id: str | None
) -> Comparison:
    """Run all cells; each picture is in the output folder before the next cell begins. A cell that fails is marked.

    Raises:
        RuntimeError: every cell failed; with the reason of the first.
    """
    folder, _ = new_output(filename_prefix, "")
    progress = RunProgress(sum(job.config.n_steps for job in jobs), node_id)
    tiles: dict[tuple[int, int], Tensor | str] = {}
    rows, finished, done = [], [], 0
    for job in jobs:
        entry = dict(
            zip(COLUMNS, (job.label, job.prompt, job.config.seed, job.config.n_steps, job.evaluations), strict=True)
        )
        try:
            views = run_cell(job, scene, cameras, lambda n, preview, at=done: progress(at + n, preview))
        except comfy.model_management.InterruptProcessingException:
            raise
        except Exception as error:  # of this cell; the others must still run
            reason = f"{type(error).__name__}: {error}"
            tiles[job.row, job.column] = f"failed\n{reason}"
            rows.append(entry | {"error": reason})
        else:
            tiles[job.row, job.column] = montage(views)
            rows.append(entry | {name: float(v.mean()) for name, v in image_statistics(views).items()})
            finished.append(views)
            write_strip(views, folder / f"cell_{job.row + 1:02d}_{job.column + 1:02d}.png")
        done += job.config.n_steps
        write_rows(rows, folder / "table.csv")
    if not finished:
        raise RuntimeError(f"Every cell failed; the first because of {rows[0]['error']}")
    labels = {job.column: job.label for job in jobs}
    names = {job.row: f"{job.prompt}\nseed {job.config.seed}" for job in jobs}
    places = [[tiles.get((r, c)) for c in sorted(labels)] for r in sorted(names)]
    grid = labelled_grid(places, [names[r] for r in sorted(names)], [labels[c] for c in sorted(labels)])
    write_png(grid, folder / "grid.png")
    return Comparison(to_image(grid[None]), to_image(torch.cat(finished)), markdown(rows))


def run_cell(job: Job, scene: Scene, cameras: CameraConfig, on_step: Callable) -> Tensor:
    """The finished pictures [B, 3, H, W] of one cell, on the CPU."""
    config, guided = job.config, job.guided

    def body(prior: ComfyPrior) -> Tensor:
        trained = copy_scene(scene, prior_device(guided.model))
        state = OptimState.create(trained, config, create_adapter(prior, guided.guidance, config.seed))
        for record in optimize(prior, guided.prompts.set, guided.guidance, trained, cameras, config, state):
            on_step(record.step + 1, pictures_of(record.render, prior, SHOWN))
        return final_pictures(trained.cpu(), prior, cameras, config).float().cpu()

    encoded = config.encode_size or config.size
    shape = (config.views_per_step, encoded, encoded)
    trains = isinstance(guided.guidance, TrainingGuidance)
    return with_prior(guided.model, guided.vae, guided.prompts.conditions(), shape, body, trains)


def header(rows: Sequence[dict]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def write_rows(rows: Sequence[dict], path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header(rows))
        writer.writeheader()
        writer.writerows(rows)


def markdown(rows: Sequence[dict]) -> str:
    """The table for Preview Any and notes."""

    def text(value) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/").replace("\n", " ")

    names = header(rows)
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(text(row.get(n, '')) for n in names)} |" for row in rows)])
