"""Runs cells: skips finished ones, optimises the seeds of one picture side by side, goes on when one fails."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..atomic import atomic_path
from ..experiment import ExperimentConfig, evaluate, read_prior, versions
from ..guidance import METHODS, TrainingGuidance, build_guidance
from ..media import write_strip
from ..metrics import image_statistics
from ..optim import OptimState, StepRecord, create_adapter, optimize
from ..priors.base import TextPrior
from ..prompts import build_texts, encode_texts
from ..scenes import SCENES, Scene
from ..scenes.files import save_scene
from ..scenes.image import apart, side_by_side
from .cells import FAILURE, RESULT, SCENE, VIEWS, Cell, CellResult, cell_folder, plain, read_result
from .matching import count_evaluations

logger = logging.getLogger(__name__)


def run_cells(
    cells: Sequence[Cell],
    out: Path,
    batch: int = 8,  # pictures of one method and prompt that are optimised side by side, >= 1
    on_step: Callable[[Cell, StepRecord, int], None] = lambda cell, record, n_cells: None,
    on_result: Callable[[CellResult, bool], None] = lambda result, fresh: None,  # fresh: False if it was there before
    prior: TextPrior | None = None,  # None loads that of the cells
) -> list[CellResult]:
    """Results of all cells in their order; each is on disk before the next begins.

    Pictures that differ in nothing but their seeds run in one batch with the draws of their own seeds, so
    that a cell is the same run either way, up to the rounding of batched arithmetic. Methods that train a
    LoRA and 3D scenes run one by one.

    Raises:
        ValueError: two cells would share a folder, or batch < 1.
        KeyboardInterrupt: passed on; what was finished stays on disk.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}.")
    folders: dict[Path, Cell] = {}
    for cell in cells:
        other = folders.setdefault(cell_folder(out, cell), cell)
        if other is not cell:
            raise ValueError(f"{cell.label!r} and {other.label!r} on {cell.prompt!r} would share a folder: rename one.")
    results: dict[int, CellResult] = {}
    for i, cell in enumerate(cells):
        found = read_result(out, cell)
        if found is not None:
            results[i] = found
            on_result(found, False)
    waiting = [i for i in range(len(cells)) if i not in results]
    for group in _groups(cells, waiting, batch):
        chosen = [cells[i] for i in group]
        prior = prior or read_prior(chosen[0].config)
        for i, result in zip(group, _run_group(chosen, out, prior, on_step), strict=True):
            results[i] = result
            on_result(result, True)
    return [results[i] for i in range(len(cells))]


def _groups(cells: Sequence[Cell], waiting: Sequence[int], batch: int) -> list[list[int]]:
    """Indices of the cells that run together: equal but for their seeds."""
    groups: list[list[int]] = []
    open_groups: dict[str, list[int]] = {}
    for i in waiting:
        config = cells[i].config
        single = SCENES[config.scene_name].uses_cameras or getattr(config.scene, "n_images", 1) > 1
        if single or _trains(config):
            groups.append([i])
            continue
        optim = replace(config.optim, seed=0, timestep_seed=None)
        key = repr((cells[i].label, replace(config, optim=optim, scene=replace(config.scene, seed=0))))
        group = open_groups.get(key)
        if group is None or len(group) == batch:
            group = open_groups[key] = []
            groups.append(group)
        group.append(i)
    return groups


def _trains(config: ExperimentConfig) -> bool:
    return isinstance(METHODS[config.guidance_name].method(config.guidance), TrainingGuidance)


def _run_group(
    cells: Sequence[Cell], out: Path, prior: TextPrior, on_step: Callable[[Cell, StepRecord, int], None]
) -> list[CellResult]:
    try:
        return _run_together(cells, out, prior, on_step)
    except Exception as error:  # any failure of a method is this cell's result; the others must still run
        if len(cells) > 1:  # find out whose fault it is
            return [result for cell in cells for result in _run_group([cell], out, prior, on_step)]
        logger.debug("%s on %r failed", cells[0].label, cells[0].prompt, exc_info=True)
        return [_failed(cells[0], out, error)]


def _failed(cell: Cell, out: Path, error: Exception) -> CellResult:
    folder = cell_folder(out, cell)
    reason = f"{type(error).__name__}: {error}"
    for name in (RESULT, VIEWS, SCENE):  # of an older configuration
        (folder / name).unlink(missing_ok=True)
    with atomic_path(folder / FAILURE) as path:
        path.write_text(json.dumps({"config": plain(cell), "error": reason}, indent=2) + "\n", encoding="utf-8")
    return CellResult(cell, {}, 0, 0.0, reason)


def _run_together(
    cells: Sequence[Cell], out: Path, prior: TextPrior, on_step: Callable[[Cell, StepRecord, int], None]
) -> list[CellResult]:
    config = cells[0].config
    start, cpu = time.perf_counter(), time.process_time()
    prompts = encode_texts(build_texts(config.prompt), prior.encode_prompt)
    guidance = build_guidance(config.guidance_name, config.guidance)
    scenes: list[Scene] = [SCENES[config.scene_name].scene(cell.config.scene) for cell in cells]
    pictures = not scenes[0].uses_cameras and getattr(config.scene, "n_images", 1) == 1
    scene = (side_by_side(scenes) if pictures else scenes[0]).to(config.device)
    state = OptimState.create(scene, config.optim, create_adapter(prior, guidance, config.optim.seed))
    seeds = [cell.seeds for cell in cells] if pictures else None
    steps = optimize(prior, prompts, guidance, scene, config.cameras, config.optim, state, seeds)
    for record in steps:
        on_step(cells[0], record, len(cells))
    seconds = (time.perf_counter() - start) / len(cells)
    evaluations = count_evaluations(guidance, config.optim.n_steps, config.optim.reuse_steps)
    scene = scene.cpu()
    results, shown = [], []
    scenes = apart(scene) if pictures else [scene]
    for cell, own in zip(cells, scenes, strict=True):
        metrics, images = evaluate(cell.config, own, prior)
        metrics |= {name: float(v.mean()) for name, v in image_statistics(images).items()}
        result = CellResult(cell, metrics, evaluations, seconds)
        results.append(result)
        shown.append(images)
    cpu_seconds = (time.process_time() - cpu) / len(cells)  # with the metrics; what a busy machine does not stretch
    for result, own, images in zip(results, scenes, shown, strict=True):
        _write(result, own, images, out, len(cells), cpu_seconds)
    return results


def _write(result: CellResult, scene: Scene, images: Tensor, out: Path, batch: int, cpu_seconds: float) -> None:
    """All files of a finished cell; run.json last, because it says that the cell is finished."""
    folder = cell_folder(out, result.cell)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    (folder / FAILURE).unlink(missing_ok=True)
    write_strip(images, folder / VIEWS)
    save_scene(scene, folder / SCENE)
    report = {
        "label": result.cell.label,
        "config": plain(result.cell),
        "metrics": {k: v if math.isfinite(v) else None for k, v in result.metrics.items()},
        "evaluations": result.evaluations,
        "seconds": result.seconds,
        "cpu_seconds": cpu_seconds,
        "pictures_side_by_side": batch,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    with atomic_path(folder / RESULT) as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
