"""What a step will need before the first one is done, and how many views go through at once so that it fits.

    plan = plan_of(experiment, available)   # bytes that are free on the experiment's device, after models are loaded;
                                            # memory.available_bytes(device), or what a host says; None: not known
    plan.apply(experiment)                  # sets experiment.state.view_chunk, and has its scene use smaller pieces
    if plan.text: tell(plan.text)           # "" where everything fits and nothing need be said

Nothing else is to be done: a step that still runs out of memory halves what goes through at once by itself. Views a few
at a time give the gradient of all at once up to the order of sums, so only a run with the same plan repeats another bit
for bit.

One view of the real scene goes through the real prior at two small sizes, and what its tensors take at their peak is
extended to the size of the run: it is linear in pixels. `python -m benchmarks.step_memory` holds the estimate against
the peak of a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras.sampling import sample_cameras
from ..guidance.base import all_conditions
from ..memory import PeakBytes, in_words
from ..optim.predictor import Predictor
from ..optim.step import LATENT_SUPERSAMPLING, Step
from ..rng import named_generator
from ..scenes.base import AdaptiveScene, RenderOutput, ShrinkingScene
from .experiment import Experiment

SHARE = 0.8  # of the memory that is free: others use the machine, too
MARGIN = 1.25  # over the tensors: what single operations need for themselves, and pieces that an allocator keeps
ROUGHLY = 1 << 16  # bytes for each pixel, several times what was measured of any scene and prior: no measuring below it
SMALL = 64  # pixels along a side of the view that is measured, and twice as many
MAX_HALVINGS = 12  # of what a scene renders at once
FLOATS = 5  # that a render keeps for each pixel: colour, opacity, depth
OUTPUT_VIEWS = 8  # of a finished object


@dataclass(frozen=True)
class Plan:
    """What one step needs, in bytes on the device, and how it is made to fit.

    Args:
        n_views: views or pictures of a step; size: pixels along a side of one.
        available: bytes that are free; None where that is not known.
        at_once: bytes where all views go through at once; 0 where it is clear without measuring that they fit.
        estimated: the same with `view_chunk` views at a time.
        view_chunk: 0 for all.
        halvings: how often a scene halves what it renders of one view at once.
        evaluations: noise predictions of the whole run, exact.
        output_bytes: of the finished pictures, in the machine's memory.
        text: to people; "" where nothing need be said.
    """

    n_views: int
    size: int
    available: int | None
    at_once: int
    estimated: int
    view_chunk: int
    halvings: int
    evaluations: int
    output_bytes: int
    text: str

    def apply(self, experiment: Experiment) -> None:
        """Have the steps go by this plan."""
        experiment.state.view_chunk = self.view_chunk
        if self.halvings and isinstance(experiment.scene, ShrinkingScene):
            config, scene = experiment.config, experiment.scene
            cameras = sample_cameras(config.cameras, 1, named_generator(config.optim.seed, "camera"))
            with torch.no_grad():  # pieces are halves of what the last render had
                scene.render(cameras.to(_device(experiment)), self.size, self.size)
            for _ in range(self.halvings):
                scene.shrink()


def plan_of(experiment: Experiment, available: int | None) -> Plan:
    """How the steps of an experiment fit into so many bytes; renders two small views where that is not clear at once.

    Nothing is changed.
    """
    optim, scene = experiment.config.optim, experiment.scene
    n = optim.views_per_step // experiment.state.split.size if scene.uses_cameras else scene.n_images
    pixels = max(optim.size, optim.encode_size or 0) ** 2
    n_outputs = OUTPUT_VIEWS if scene.uses_cameras else n
    plan = Plan(
        n, optim.size, available, 0, 0, 0, 0, experiment.evaluations, n_outputs * optim.size**2 * 3 * 4, ""
    )
    budget = math.inf if available is None else SHARE * available
    if n * pixels * ROUGHLY + _state_bytes(experiment) < budget or available is None:
        return plan
    cost = _cost(experiment)
    chunk = next((c for c in range(n, 0, -1) if cost.of(n, c) <= budget), 0)
    if chunk:  # parts of one size
        chunk = -(-n // -(-n // chunk))
        plan = replace(plan, view_chunk=chunk if chunk < n else 0, estimated=cost.of(n, chunk))
    else:
        able = range(1, MAX_HALVINGS + 1) if isinstance(scene, ShrinkingScene) else range(1)
        halvings = next((h for h in able if cost.of(n, 1, h) <= budget), able[-1])
        plan = replace(plan, view_chunk=1 if n > 1 else 0, halvings=halvings, estimated=cost.of(n, 1, halvings))
    plan = replace(plan, at_once=cost.of(n, n))
    return replace(plan, text=_text(plan, "views" if scene.uses_cameras else "pictures", budget))


@dataclass(frozen=True)
class _Cost:
    """Bytes: what there is once, for each view of a step as long as it lasts, and while a view goes through."""

    once: float
    kept: float
    render: float
    encode: float
    predict: float  # a network's forward, or the training of its LoRA

    def of(self, n: int, at_once: int, halvings: int = 0) -> int:
        through = max(self.render / 2**halvings + self.encode, self.predict)
        return int(MARGIN * (self.once + n * self.kept + at_once * through))


def _cost(experiment: Experiment) -> _Cost:
    """Of one view at the run's size, from two small ones."""
    optim, factor = experiment.config.optim, experiment.prior.spatial_factor
    full = optim.encode_size or optim.size
    small = max(SMALL, 8 * factor) // factor * factor
    sides = [min(small, full), min(2 * small, full)]
    if sides[0] == sides[1]:
        sides[0] = max(factor, full // 2 // factor * factor)
    measured = [_measured(experiment, side, max(1, round(optim.size * side / full))) for side in sides]

    def line(value: Callable[[dict[str, int]], int]) -> tuple[float, float]:
        """What `value` has once and for a view of full size, 0 or more."""
        first, second = (value(m) for m in measured)
        slope = max(0.0, (second - first) / max(1, sides[1] ** 2 - sides[0] ** 2))
        return max(0.0, first - slope * sides[0] ** 2), slope * full**2

    names = ("view", "encode", "predict", "lora", "losses")
    once, by_name = zip(*(line(lambda m, name=name: m[name]) for name in names), strict=True)
    view, encode, predict, lora, losses = by_name
    # the record of the step before is still in somebody's hands; colours and opacity gather a gradient
    kept = optim.size**2 * 4 * (2 * FLOATS + 4) + losses
    if full != optim.size:
        kept += 2 * 3 * 4 * full**2  # the pictures that are encoded, and their gradient
    render = max(0.0, view - encode)
    if optim.latent_until > 0:  # rays of latent cells, which can be more than those of a view
        more = max(1.0, (full // factor * LATENT_SUPERSAMPLING / optim.size) ** 2)
        kept, render = kept * more, render * more
    return _Cost(_state_bytes(experiment) + max(once), kept, render, encode, max(predict, lora))


def _state_bytes(experiment: Experiment) -> int:
    """Gradients and moments of the scene's parameters, and what an adaptive scene is put back from."""
    own = sum(p.numel() * p.element_size() for p in experiment.scene.parameters())
    return own * (6 if isinstance(experiment.scene, AdaptiveScene) else 3)


def _measured(experiment: Experiment, encoded: int, side: int) -> dict[str, int]:
    """Peaks in bytes of what a view of `side` pixels, encoded at `encoded`, goes through."""
    scene, prior, state, config = experiment.scene, experiment.prior, experiment.state, experiment.config
    optim = replace(config.optim, size=side, encode_size=encoded, start_size=None)
    step = Step(replace(experiment.distillation, config=optim), state, 0, None)
    n = optim.views_per_step // state.split.size if scene.uses_cameras else scene.n_images
    cameras = sample_cameras(config.cameras, n, named_generator(optim.seed, "camera")).to(_device(experiment))
    parameters = list(scene.parameters())

    def differentiate(value: Tensor, inputs: Sequence[Tensor]) -> None:
        torch.autograd.grad(value, inputs, allow_unused=True)

    peaks: dict[str, int] = {"encode": 0, "lora": 0}
    with torch.enable_grad():
        with PeakBytes() as memory:
            seen = step.see(cameras, {}, slice(0, 1))
            differentiate(seen.latents.sum() + seen.render.opacity.sum(), parameters)
        peaks["view"] = memory.peak
        latents = seen.latents.detach()
        if seen.images is not None:
            images = seen.images.detach().requires_grad_()
            with PeakBytes() as memory:
                differentiate(prior.encode(images).sum(), [images])
            peaks["encode"] = memory.peak
        leaves = {k: getattr(seen.render, k).detach().requires_grad_() for k in ("rgb", "opacity", "depth")}
        with PeakBytes() as memory:
            losses = scene.regularization(RenderOutput(**leaves), 1.0)
            if losses:
                differentiate(torch.stack(list(losses.values())).sum(), [*leaves.values(), *parameters])
        peaks["losses"] = memory.peak
    t = torch.tensor([prior.schedule.n_timesteps // 2], device=latents.device)
    views, angles = [""], [(0.0, 0.0)] if scene.uses_cameras else None
    predict = Predictor(prior, experiment.prompts, views, state.adapter, None, angles)
    names = max((all_conditions(experiment.guidance, u) for u in (0.0, 0.5, 0.99)), key=len)
    with PeakBytes() as memory, torch.no_grad():
        predict(names, latents, t)
    peaks["predict"] = memory.peak
    if state.adapter is not None:
        adapter, row = state.adapter.adapter, experiment.prompts.select("target", views)
        with PeakBytes() as memory, torch.enable_grad():
            loss = adapter.training_loss(latents, t, row, None, torch.zeros_like(latents))
            differentiate(loss, list(adapter.parameters()))
        peaks["lora"] = memory.peak
    return peaks


def _device(experiment: Experiment) -> torch.device:
    return next(experiment.scene.parameters()).device


def _text(plan: Plan, what: str, budget: float) -> str:
    if not plan.view_chunk and not plan.halvings and plan.estimated <= budget:
        return ""
    free = in_words(plan.available or 0)
    text = f"A step of {plan.n_views} {what} at {plan.size} pixels needs about {in_words(plan.at_once)} at once"
    if plan.estimated > budget:
        return (
            f"{text}, and in the smallest pieces {in_words(plan.estimated)}; {free} are free. It may run out of "
            f"memory: use a smaller size or fewer {what}."
        )
    at_a_time = f"{plan.view_chunk or 1} at a time"
    if plan.halvings:
        at_a_time += f", each in {2**plan.halvings} pieces"
    return f"{text}, {free} are free. They go through {at_a_time}: about {in_words(plan.estimated)}, and slower."
