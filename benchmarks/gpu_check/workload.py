"""Steps of a scene under a prior, as several parts of the check measure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from tbsd_core.benchmark.models import random_prior
from tbsd_core.benchmark.scenes import MEASURED, measured_scene
from tbsd_core.cameras.sampling import CameraConfig
from tbsd_core.guidance import build_guidance
from tbsd_core.guidance.hifa import HiFAConfig
from tbsd_core.optim import Distillation, OptimConfig, OptimState, create_adapter, optimize
from tbsd_core.priors.small_world.learned import load_learned_prior
from tbsd_core.prompts import PromptConfig, build_texts, encode_texts

QUICK_SCENES = ("gaussian",)
# a prior by name, its dtype (embedded: float32), and the views a step renders with it
PRIORS: dict[str, tuple[Callable[[str], Any], int]] = {
    "embedded": (lambda device: load_learned_prior(device=device), 4),
    "sd15 float16": (lambda device: random_prior("sd15", device, torch.float16), 1),
}


def scenes(quick: bool) -> tuple[str, ...]:
    return QUICK_SCENES if quick else tuple(MEASURED)


@dataclass(frozen=True)
class Workload:
    """A scene with its optimiser state, and its steps one by one."""

    scene: Any
    state: OptimState
    steps: Iterator


def workload(prior: Any, scene_name: str, method: str, device: str, size: int, views: int) -> Workload:
    """`size` pixels of each picture or view; everything that is drawn is the same on every device."""
    prompts = encode_texts(build_texts(PromptConfig(prompt="a brick house")), prior.encode_prompt)
    is_latent_hifa = (scene_name, method) == ("latent", "hifa")  # it has no pixels to compare
    guidance = build_guidance(method, HiFAConfig(pixel_scale=0.0)) if is_latent_hifa else build_guidance(method)
    scene = measured_scene(scene_name, size, prior.spatial_factor).to(device)
    config = OptimConfig(n_steps=1000, size=size, views_per_step=views)
    state = OptimState.create(scene, config, create_adapter(prior, guidance, config.seed))
    run = Distillation(prior, prompts, guidance, scene, CameraConfig(), config)
    return Workload(scene, state, optimize(run, state))
