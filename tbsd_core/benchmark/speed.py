"""The cost of a step beyond its floor: `python -m tbsd_core benchmark speed`.

The floor of a step is the work that no implementation of score distillation can leave out:

    bare batched forward of the conditions it evaluates, without gradient
    + VAE encode of the views, forward and backward
    + render of the views, forward and backward
    + render and encode of the source from the same cameras, forward, for a method that edits a 3D scene

Floor and whole steps are measured in turn within one run, and compared round by round: on a shared machine only ratios
of neighbours mean anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import torch

from ..cameras.sampling import orbit
from ..guidance import METHODS
from ..guidance.base import has_source
from ..optim import OptimConfig
from ..priors.diffusers import DiffusersPrior
from ..priors.small_world.learned import load_learned_prior
from .models import SHAPES, random_prior
from .scenes import measured_experiment

WARM_UP = 2  # rounds that are measured and dropped
DEMO, DEMO_SIZE = "learned", 64  # the prior over the small world, and the pixels it is made for


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    model: str = "small"  # a name in models.SHAPES, or DEMO
    scenes: tuple[str, ...] = ("image", "nerf")  # names in scenes.MEASURED that have pixels
    method: str = "tbsd"  # a name in guidance.METHODS that asks for the same conditions in each step
    rounds: int = 15  # pairs of floor and step per scene, >= 1
    steps_per_round: int = 2  # whole steps in each round
    device: str = "cpu"
    half: bool = False  # weights in float16
    nerf_size: int | None = None  # pixels of a view of a 3D scene; None = as the model's images
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(n_steps=10**6, views_per_step=1))

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.steps_per_round < 1:
            raise ValueError(f"rounds and steps_per_round must be >= 1, got {self.rounds}, {self.steps_per_round}.")
        if self.half and self.model == DEMO:
            raise ValueError(f"The prior {DEMO!r} computes in float32. Leave half out.")


def measure_speed(config: SpeedConfig, on_scene: Callable[[str, dict], None] = lambda name, result: None) -> dict:
    """Ratios step / floor by scene under "ratios", and the seconds of their parts."""
    dtype = torch.float16 if config.half else torch.float32
    prior = (
        load_learned_prior(device=config.device)
        if config.model == DEMO
        else random_prior(config.model, config.device, dtype)
    )
    result: dict[str, Any] = {
        "ratios": {},
        "seconds": {},
        "model": config.model,
        "device": config.device,
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    on_gpu = torch.device(config.device).type == "cuda"
    for name in config.scenes:
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(config.device)
        seconds = _measure_scene(name, prior, config)
        if on_gpu:
            result.setdefault("peak_gib", {})[name] = torch.cuda.max_memory_allocated(config.device) / 2**30
        result["ratios"][name] = seconds.pop("ratio")
        result["seconds"][name] = seconds
        on_scene(name, result)
    return result


def _measure_scene(name: str, prior: DiffusersPrior, config: SpeedConfig) -> dict[str, float]:
    size = DEMO_SIZE if config.model == DEMO else SHAPES[config.model].size
    is_3d = name not in ("image", "latent")
    optim = replace(config.optim, size=config.nerf_size or size if is_3d else size)
    experiment = measured_experiment(name, config.method, prior, size, optim, config.device)
    scene, view_size, steps = experiment.scene, optim.size, experiment.steps()
    n_views = optim.views_per_step if is_3d else 1
    guidance = METHODS[config.method].method(experiment.config.guidance)
    conditions = len(guidance.required(0.5))
    n_tokens = prior.encode_prompt("a house").shape[1]
    parts = {
        "forward": _bare_forward(prior, n_views, view_size, n_tokens, conditions),
        "encode": _encode(prior, n_views, view_size, config.device),
        "render": _render(scene, n_views, view_size),
    }
    if is_3d and has_source(guidance):
        parts["source"] = _source(prior, scene, n_views, view_size)
    rounds: list[dict[str, float]] = []
    for _ in range(WARM_UP + config.rounds):
        times = {part: _seconds(run, config.device) for part, run in parts.items()}
        times["step"] = _seconds(lambda: _advance(steps, config.steps_per_round), config.device)
        times["step"] /= config.steps_per_round
        rounds.append(times)
    rounds = rounds[WARM_UP:]
    result = {part: median(r[part] for r in rounds) for part in (*parts, "step")}
    result["ratio"] = median(r["step"] / sum(r[part] for part in parts) for r in rounds)
    return result


def _advance(steps: Iterator, n: int) -> None:
    for _ in range(n):
        next(steps)


def _seconds(run: Callable[[], None], device: str) -> float:
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if on_gpu:
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _bare_forward(prior: DiffusersPrior, n_views: int, size: int, n_tokens: int, conditions: int) -> Callable[[], None]:
    """The network itself on ready inputs: no noising, no stacking, no dtype conversion."""
    weight = next(prior.unet.parameters())
    latent = size // prior.spatial_factor
    batch = n_views * conditions
    like = dict(device=weight.device, dtype=weight.dtype)
    x = torch.randn(batch, prior.latent_channels, latent, latent, **like)
    t = torch.full((batch,), 500, device=weight.device)
    context = torch.randn(batch, n_tokens, prior.unet.config.cross_attention_dim, **like)

    @torch.no_grad()
    def run() -> None:
        prior.unet(x, t, context)

    return run


def _encode(prior: DiffusersPrior, n_views: int, size: int, device: str) -> Callable[[], None]:
    images = torch.rand(n_views, 3, size, size, device=device).requires_grad_(True)
    grad = torch.randn_like(prior.encode(images))

    def run() -> None:
        torch.autograd.grad(prior.encode(images), images, grad)

    return run


def _source(prior: DiffusersPrior, scene, n_views: int, size: int) -> Callable[[], None]:
    cameras = orbit(n_views).to(next(scene.parameters()).device)

    @torch.no_grad()
    def run() -> None:
        prior.encode(scene.render(cameras, size, size).rgb)

    return run


def _render(scene, n_views: int, size: int) -> Callable[[], None]:
    cameras = orbit(n_views).to(next(scene.parameters()).device)
    parameters = list(scene.parameters())
    generator = torch.Generator().manual_seed(0)
    grad = torch.randn_like(scene.render(cameras, size, size, generator).rgb)

    def run() -> None:
        torch.autograd.grad(scene.render(cameras, size, size, generator).rgb, parameters, grad)

    return run
