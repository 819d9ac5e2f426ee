"""Pictures that differ in nothing but their seeds, optimised in one batch; then each is an experiment of its own.

Each picture has the draws of its own seeds, so that it is the same run either way, up to the rounding of batched
arithmetic (and bit for bit in a batch of one). 3D scenes, and methods with a LoRA or a trajectory, run one by one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..configuration import to_plain
from ..experiment import (
    NEWEST,
    Account,
    Experiment,
    ExperimentConfig,
    StoredRun,
    make_scene,
    plain_config,
    write_results,
)
from ..guidance import TrainingGuidance, TrajectoryGuidance, build_guidance
from ..optim import Curves, StepRecord, Watchdog
from ..priors.base import Prior
from ..scenes import SCENES
from ..scenes.image import apart, side_by_side
from .jobs import Job


def grouped(jobs: Sequence[Job], chosen: Sequence[int], batch: int) -> list[list[int]]:
    """Indices of the chosen jobs that run together, at most `batch` (>= 1) of them."""
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}.")
    groups: list[list[int]] = []
    unfilled: dict[str, list[int]] = {}
    for i in chosen:
        if batch == 1 or not can_share(jobs[i]):
            groups.append([i])
            continue
        config = jobs[i].config
        optim, scene = {**config["optim"], "seed": 0, "timestep_seed": 0}, {**config["scene"], "seed": 0}
        key = json.dumps([jobs[i].label, {**config, "optim": optim, "scene": scene}])
        group = unfilled.get(key)
        if group is None or len(group) == batch:
            group = unfilled[key] = []
            groups.append(group)
        group.append(i)
    return groups


def can_share(job: Job) -> bool:
    """Whether a job's picture may be optimised beside others."""
    config = job.config
    if "scene_name" not in config or SCENES[config["scene_name"]].uses_cameras or config["scene"]["n_images"] > 1:
        return False
    if config.get("rehearsal_noise"):  # which is drawn for the pictures of a run together
        return False
    alone = TrainingGuidance, TrajectoryGuidance  # one LoRA, and draws that belong to a batch
    return not isinstance(build_guidance(config["guidance_name"]), alone)


def run_side_by_side(
    configs: Sequence[ExperimentConfig],  # that differ in their seeds alone
    folders: Sequence[Path],
    prior: Prior,
    in_full: bool = False,
    on_step: Callable[[StepRecord], None] = lambda record: None,
) -> None:
    """Run all to the end, and write the files of `experiment.run` to each one's folder."""
    cpu, n = time.process_time(), len(configs)
    scene = side_by_side([make_scene(config) for config in configs]).to(configs[0].device)
    joint = Experiment(configs[0], prior, scene=scene, seeds=[config.optim.draw_seeds for config in configs])
    watchdog, began = Watchdog(scene.uses_cameras and not scene.fixed_geometry), time.perf_counter()
    for record in joint.steps():
        on_step(record)
        watchdog(record)
    watchdog.rest()
    spent = time.perf_counter() - began
    seconds = {"optimize": spent / n, "cpu": (time.process_time() - cpu) / n}
    for experiment, folder in zip(separated(joint, configs), folders, strict=True):
        experiment.save(folder / NEWEST)
        account = Account(seconds, time.perf_counter() - spent / n, n, list(watchdog.warnings.values()))
        write_results(experiment, folder, account, in_full)


def separated(joint: Experiment, configs: Sequence[ExperimentConfig]) -> list[Experiment]:
    """Each picture of a batch as an experiment of its own, which can be saved and resumed.

    Its state is its row of the moments and of the reused predictions. The numbers of its curves were means over the
    batch, so it has no curves of these steps.
    """
    stored, found = joint.stored(), []
    seconds = {name: value / len(configs) for name, value in stored.curves.seconds.items()}
    for i, (config, picture) in enumerate(zip(configs, apart(joint.scene), strict=True)):
        scene = make_scene(config)  # whose seed is its own
        scene.load_state_dict(picture.state_dict())
        rows = {name: value[i : i + 1] if value.ndim else value for name, value in stored.tensors.items()}
        curves = Curves(seconds=seconds, skipped=stored.curves.skipped)
        experiment = Experiment(config, joint.prior, prompts=joint.prompts, scene=scene.to(config.device))
        source = stored.source and {**stored.source, "config": to_plain(scene.config)}
        experiment.restore(StoredRun(plain_config(config), stored.step, stored.bad_steps, rows, curves, source))
        found.append(experiment)
    return found
