"""The plan of a run before its first step: the memory of a step, how to make it fit, and the time of the run.

    plan = plan_of(experiment, available)   # bytes that are free on the experiment's device, after models are loaded;
                                            # memory.available_bytes(device), or what a host says; None: not known
    plan.apply(experiment)                  # sets experiment.state.view_chunk, and has scene and prior take less
    if plan.text: tell(plan.text)           # "" if everything fits, takes minutes, and nothing need be said

Nothing else is needed: a step that still runs out of memory automatically halves what goes through at once. Every
measure gives the gradient of all views at once, up to the order of sums, so only a run with the same plan repeats
another bit for bit. The measures, in this order: fewer views at a time; rays of a view in a few pieces; the encoder's
blocks computed again in backward; rays in many pieces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from ..cameras.sampling import sample_cameras
from ..memory import in_words
from ..priors.base import RecomputingPrior
from ..rng import named_generator
from ..scenes.base import ShrinkingScene
from .config import is_demo
from .duration import Duration, duration_of
from .experiment import Experiment
from .needs import Needs, needs_of

SHARE = 0.8  # of the memory that is free: others use the machine, too
MARGIN = 1.25  # over the tensors: the scratch memory of single operations, and pieces that an allocator keeps
ROUGHLY = 1 << 16  # bytes for each pixel, several times the measured need of any scene and prior: no measuring below it
MAX_HALVINGS = 12  # of what a scene renders at once
FEW_HALVINGS = 2  # cost less than computing the encoder again
NEARLY = 1.05  # the smallest: more pieces only take time
OUTPUT_VIEWS = 8  # of a finished object


@dataclass(frozen=True)
class Fit:
    """How a step is made to fit.

    Args:
        view_chunk: views at a time, 0 for all.
        halvings: how often a scene halves what it renders of one view at once.
        recompute: whether backward computes the encoder again.
        estimated: bytes on the device that a step then takes.
    """

    view_chunk: int
    halvings: int
    recompute: bool
    estimated: int


@dataclass(frozen=True)
class Plan:
    """The memory of one step in bytes on the device, and the measures that make it fit.

    Args:
        n_views: views or pictures of a step; size: pixels along a side of one.
        available: bytes that are free; None if that is not known.
        at_once: bytes with all views at once; 0 if they clearly fit without measuring.
        fit: the measures that the steps follow.
        evaluations: noise predictions of the whole run, exact.
        output_bytes: of the finished pictures, in the machine's memory.
        duration: how much work the run is; None if it was not measured.
        text: a message for people, or "".
    """

    n_views: int
    size: int
    available: int | None
    at_once: int
    fit: Fit
    evaluations: int
    output_bytes: int
    duration: Duration | None
    text: str

    def apply(self, experiment: Experiment) -> None:
        """Make the steps follow this plan."""
        experiment.state.view_chunk = self.fit.view_chunk
        if isinstance(experiment.prior, RecomputingPrior):
            experiment.prior.recompute_encoder = self.fit.recompute
        if self.fit.halvings and isinstance(experiment.scene, ShrinkingScene):
            config, scene = experiment.config, experiment.scene
            cameras = sample_cameras(config.cameras, 1, named_generator(config.optim.seed, "camera"))
            with torch.no_grad():  # pieces are halves of what the last render had
                scene.render(cameras.to(_device(experiment)), self.size, self.size)
            for _ in range(self.fit.halvings):
                scene.shrink()


def plan_of(experiment: Experiment, available: int | None) -> Plan:
    """The plan for an experiment in so many bytes of memory; it renders and encodes some small views.

    A run of the demo models that clearly fits takes only minutes, so it is not measured. Nothing changes.
    """
    optim, scene = experiment.config.optim, experiment.scene
    n = optim.views_per_step // experiment.state.split.size if scene.uses_cameras else scene.n_images
    pixels = max(optim.size, optim.encode_size or 0) ** 2
    n_outputs = (OUTPUT_VIEWS if scene.uses_cameras else n) * optim.size**2 * 3 * 4
    nothing = Fit(0, 0, False, 0)
    plan = Plan(n, optim.size, available, 0, nothing, experiment.evaluations, n_outputs, None, "")
    budget = math.inf if available is None else SHARE * available
    fits = available is None or n * pixels * ROUGHLY + _parameter_bytes(experiment) < budget
    if fits and is_demo(experiment.config):
        return plan
    needs = needs_of(experiment)
    fit = fitted(needs, n, budget, isinstance(scene, ShrinkingScene))
    lasts = duration_of(experiment, needs.work, n, fit.view_chunk > 0, fit.recompute)
    plan = replace(plan, at_once=_bytes(needs, n, n), fit=fit, duration=lasts)
    memory = "" if fits else memory_text(plan, "views" if scene.uses_cameras else "pictures", budget)
    return replace(plan, text=" ".join(filter(None, (memory, lasts.text(_device(experiment))))))


def fitted(needs: Needs, n_views: int, budget: float, can_shrink: bool) -> Fit:
    """The fastest way to put `n_views` views through in `budget` bytes; if none fits, the fastest among the nearly
    smallest."""
    chunk = next((c for c in range(n_views, 0, -1) if _bytes(needs, n_views, c) <= budget), 0)
    if chunk:
        chunk = -(-n_views // -(-n_views // chunk))  # parts of one size
        return Fit(chunk if chunk < n_views else 0, 0, False, _bytes(needs, n_views, chunk))
    halvings = range(MAX_HALVINGS + 1 if can_shrink else 1)
    ways = [(h, False) for h in halvings[: FEW_HALVINGS + 1]]
    ways += [(h, needs.recomputed is not None) for h in halvings]
    sizes = [_bytes(needs, n_views, 1, *way) for way in ways]
    most = budget if min(sizes) <= budget else NEARLY * min(sizes)
    chosen = next(i for i, size in enumerate(sizes) if size <= most)
    return Fit(1 if n_views > 1 else 0, *ways[chosen], sizes[chosen])


def _bytes(needs: Needs, n: int, at_once: int, halvings: int = 0, recompute: bool = False) -> int:
    encode = needs.recomputed if recompute and needs.recomputed is not None else needs.encode
    through = max(needs.render / 2**halvings + encode, needs.predict)
    return int(MARGIN * (needs.once + n * needs.kept + at_once * through))


def _parameter_bytes(experiment: Experiment) -> int:
    """Bytes of the scene with gradients and moments, and of a copy of them all."""
    return 6 * sum(p.numel() * p.element_size() for p in experiment.scene.parameters())


def _device(experiment: Experiment) -> torch.device:
    return next(experiment.scene.parameters()).device


def memory_text(plan: Plan, what: str, budget: float) -> str:
    """A message about the plan; "" if all views go through at once."""
    fit = plan.fit
    if not fit.view_chunk and not fit.halvings and not fit.recompute and fit.estimated <= budget:
        return ""
    free = in_words(plan.available or 0)
    text = f"A step of {plan.n_views} {what} at {plan.size} pixels needs about {in_words(plan.at_once)} at once"
    if fit.estimated > budget:
        return (
            f"{text}, and in the smallest pieces {in_words(fit.estimated)}; {free} are free. It may run out of "
            f"memory: use a smaller size or fewer {what}."
        )
    measures = [f"They go through {fit.view_chunk or 1} at a time"]
    if fit.halvings:
        measures.append(f"each in {2**fit.halvings} pieces")
    if fit.recompute:
        measures.append("the encoder is computed again for the gradient")
    return f"{text}, {free} are free. {', '.join(measures)}: about {in_words(fit.estimated)}, and slower."
