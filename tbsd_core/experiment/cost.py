"""The exact cost of a run in noise predictions, before it is run, and the number of steps that a budget buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..cameras.sampling import CameraConfig, sample_cameras
from ..guidance import Guidance, TrainingGuidance, TrajectoryGuidance, build_guidance
from ..optim import OptimConfig
from ..optim.adapter import ADAPTER_NAMES
from ..optim.draws import draw_timesteps
from ..optim.guide import REUSABLE
from ..priors.small_world import MULTIVIEW, VIEWS_PER_GROUP
from ..prompts.perp_neg import view_mixture
from ..rng import named_generator
from ..scenes import SCENES
from .config import ExperimentConfig

N_TIMESTEPS = 1000  # of all priors but some models of ComfyUI, which say so


def evaluations(
    guidance: Guidance,
    optim: OptimConfig,
    cameras: CameraConfig | None,  # None for pictures
    n_samples: int,  # views or pictures of a step
    perp_neg: float = 0.0,
    n_timesteps: int = N_TIMESTEPS,
    group: int = 1,  # views that the prior sees together, at one timestep
) -> int:
    """Noise predictions of a whole run, summed over the samples of its steps.

    It counts predictions of the prior and of a LoRA, those along a trajectory and for the further views of Perp-Neg,
    and one forward for each step that trains a LoRA. Predictions that reuse_steps reuses do not count.
    """
    trains = isinstance(guidance, TrainingGuidance)
    total, known = 0, set[str]()
    for step in range(optim.n_steps):
        progress = step / optim.n_steps
        names = [name for name in guidance.required(progress) if name not in known]
        known = set() if (step + 1) % optim.reuse_steps == 0 else known | set(names) & set(REUSABLE)
        angles = None
        if cameras is not None and perp_neg > 0:
            drawn = sample_cameras(cameras, n_samples, named_generator(optim.seed, "camera", step))
            angles = list(zip(drawn.azimuth.tolist(), drawn.elevation.tolist(), strict=True))
        total += sum(predictions(names, angles, n_samples)) + n_samples * trains
        if isinstance(guidance, TrajectoryGuidance):
            t = draw_timesteps(optim, n_timesteps, n_samples, step, group)
            visits = guidance.visits(progress, t, n_timesteps).tolist()
            each = predictions(guidance.visited(progress), angles, n_samples)
            total += sum(n * cost for n, cost in zip(visits, each, strict=True))
    return total


def predictions(names: Sequence[str], angles: list[tuple[float, float]] | None, n_samples: int) -> list[int]:
    """The number of predictions that these conditions take per sample, asked for once; see optim.predictor."""
    if angles is None or "target" not in names:
        return [len(names)] * n_samples
    adapters = sum(name in ADAPTER_NAMES for name in names)
    others = {name for name in names if name not in ("target", *ADAPTER_NAMES)} | {"uncond"}
    return [len(view_mixture(*angle).views) + len(others) + adapters for angle in angles]


def evaluations_per_view(config: ExperimentConfig, n_timesteps: int = N_TIMESTEPS) -> float:
    """Noise predictions of a run for one of the views (or pictures) of a step: a whole number for one picture."""
    cameras = config.cameras if SCENES[config.scene_name].uses_cameras else None
    n_samples = config.optim.views_per_step if cameras else config.scene.n_images
    guidance = build_guidance(config.guidance_name, config.guidance)
    group = VIEWS_PER_GROUP if cameras and config.prior == MULTIVIEW else 1
    asked = (config.optim, cameras, n_samples, config.prompt.perp_neg, n_timesteps, group)
    return evaluations(guidance, *asked) / n_samples


def matched_steps(config: ExperimentConfig, budget: float, n_timesteps: int = N_TIMESTEPS) -> int:
    """A number of steps whose whole run stays within a budget of noise predictions per view, while one more would not;
    at least 1.

    A longer run does not always cost more: progress is step / steps, which decides what is evaluated, and the timesteps
    differ. The search halves an interval, so it may return any of several such lengths.
    """

    def cost(n: int) -> float:
        return evaluations_per_view(replace(config, optim=replace(config.optim, n_steps=n)), n_timesteps)

    low, high = 1, max(1, int(budget))
    while low < high:
        middle = (low + high + 1) // 2
        if cost(middle) <= budget:
            low = middle
        else:
            high = middle - 1
    while cost(low + 1) <= budget:  # the timesteps of a longer run may be cheaper ones
        low += 1
    return low
