"""What one view of a step takes, measured on small ones: bytes of the device, and floating-point operations.

Three small views of the real scene go through the real prior. What their tensors take at their peak is linear in
pixels, their operations are a polynomial of second degree in them (attention): so they are extended to the size of the
run. `python -m benchmarks.step_memory` holds the memory against the peak of a process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras.sampling import sample_cameras
from ..counting import Amount, counted
from ..guidance.base import all_conditions
from ..optim.predictor import Predictor
from ..optim.step import LATENT_SUPERSAMPLING, Step
from ..priors.base import RecomputingPrior
from ..rng import named_generator
from ..scenes.base import AdaptiveScene, RenderOutput
from .experiment import Experiment

SMALL = 64  # pixels along a side of the smallest view that is measured; the others have twice and three times as many
FLOATS = 5  # that a render keeps for each pixel: colour, opacity, depth
DRAWS = 6  # steps among which the dearest is looked for: some are lit, which takes several times as much
NOTHING = Amount()


@dataclass(frozen=True)
class Work:
    """Floating-point operations for one view: a multiplication and an addition are two.

    Args:
        glance: rendered and encoded without a gradient.
        see: the same with the gradient.
        again: the encoder once more, where backward recomputes it.
        predict: one noise prediction.
        train: the gradient of a LoRA, beyond the prediction.
    """

    glance: float
    see: float
    again: float
    predict: float
    train: float


@dataclass(frozen=True)
class Needs:
    """Bytes: what there is once, for each view of a step as long as it lasts, and while a view goes through.

    Args:
        recomputed: as `encode`, where backward computes the encoder again; None where the prior cannot.
        predict: of a network's forward with all conditions, or of the training of its LoRA.
    """

    once: float
    kept: float
    render: float
    encode: float
    recomputed: float | None
    predict: float
    work: Work


def needs_of(experiment: Experiment) -> Needs:
    """Measured; nothing is changed."""
    optim, factor = experiment.config.optim, experiment.prior.spatial_factor
    full = optim.encode_size or optim.size
    small = max(SMALL, 8 * factor) // factor * factor
    sides = sorted({min(n * small, full) for n in (1, 2, 3)})
    if len(sides) == 1:
        sides.insert(0, max(factor, full // 2 // factor * factor))
    rendered = [max(1, round(optim.size * side / full)) for side in sides]
    dearest = _dearest_step(experiment, rendered[0])
    _measured(experiment, sides[0], rendered[0], dearest)  # a prior may check itself in its first gradient
    measured = [_measured(experiment, *pair, dearest) for pair in zip(sides, rendered, strict=True)]
    pixels = [side**2 for side in sides]

    def line(value: Callable[[dict[str, Amount]], float]) -> tuple[float, float]:
        """What `value` has once and for a view of full size, 0 or more."""
        first, last = value(measured[0]), value(measured[-1])
        slope = max(0.0, (last - first) / max(1, pixels[-1] - pixels[0]))
        return max(0.0, first - slope * pixels[0]), slope * full**2

    def operations(name: str) -> float:
        """Of a network at full size."""
        return extended(pixels, [m[name].flops for m in measured], full**2)

    def rays(whole: str, network: str) -> float:
        """Of rendering alone: which samples are seen is not as regular."""
        return sum(line(lambda m: max(0.0, m[whole].flops - m[network].flops)))

    names = list(measured[0])
    once, by_name = zip(*(line(lambda m, name=name: m[name].bytes) for name in names), strict=True)
    size = dict(zip(names, by_name, strict=True))
    # the record of the step before is still in somebody's hands; colours and opacity gather a gradient
    kept = optim.size**2 * 4 * (2 * FLOATS + 4) + size["losses"]
    if full != optim.size:
        kept += 2 * 3 * 4 * full**2  # the pictures that are encoded, and their gradient
    render = max(0.0, size["view"] - size["encode"])
    if optim.latent_until > 0:  # rays of latent cells, which can be more than those of a view
        more = max(1.0, (full // factor * LATENT_SUPERSAMPLING / optim.size) ** 2)
        kept, render = kept * more, render * more
    predict = operations("predict") / len(_conditions(experiment))
    return Needs(
        once=_state_bytes(experiment) + max(once),
        kept=kept,
        render=render,
        encode=size["encode"],
        recomputed=size.get("recomputed"),
        predict=max(size["predict"], size["lora"]),
        work=Work(
            glance=operations("encoded") + rays("glance", "encoded"),
            see=operations("encode") + rays("view", "encode"),
            again=operations("recomputed") - operations("encode") if "recomputed" in size else 0.0,
            predict=predict,
            train=max(0.0, operations("lora") - predict),
        ),
    )


def extended(at: Sequence[float], values: Sequence[float], to: float) -> float:
    """The polynomial through `values` at different `at` (Lagrange), at `to`; 0 or more."""
    total = 0.0
    for i, (x, value) in enumerate(zip(at, values, strict=True)):
        term = value
        for j, other in enumerate(at):
            if j != i:
                term *= (to - other) / (x - other)
        total += term
    return max(0.0, total)


def _state_bytes(experiment: Experiment) -> int:
    """Gradients and moments of the scene's parameters, and what an adaptive scene is put back from."""
    own = sum(p.numel() * p.element_size() for p in experiment.scene.parameters())
    return own * (6 if isinstance(experiment.scene, AdaptiveScene) else 3)


def _conditions(experiment: Experiment) -> Sequence[str]:
    """The most that the method asks for in a step."""
    return max((all_conditions(experiment.guidance, u) for u in (0.0, 0.5, 0.99)), key=len)


def _look(experiment: Experiment, encoded: int, side: int, index: int) -> Callable[[], tuple]:
    """A function that sees a view of a step at `side` pixels, encoded at `encoded`."""
    scene, state, config = experiment.scene, experiment.state, experiment.config
    optim = replace(config.optim, size=side, encode_size=encoded, start_size=None)
    step = Step(replace(experiment.distillation, config=optim), state, index, None)
    n = optim.views_per_step // state.split.size if scene.uses_cameras else scene.n_images
    cameras = sample_cameras(config.cameras, n, named_generator(optim.seed, "camera", index))
    return lambda: step.see(cameras.to(step.device), {}, slice(0, 1))


def _dearest_step(experiment: Experiment, side: int) -> int:
    """Of the first steps, which differ in what they draw, the one whose view keeps most."""
    if not experiment.scene.uses_cameras:
        return 0
    scene, parameters = experiment.scene, list(experiment.scene.parameters())
    ones = named_generator(experiment.config.optim.seed, "camera")
    cameras = sample_cameras(experiment.config.cameras, 1, ones).to(parameters[0].device)
    seed = experiment.config.optim.seed

    def taken(index: int) -> float:
        def render() -> None:
            out = scene.render(cameras, side, side, named_generator(seed, "jitter", index))
            _differentiate(out.rgb.sum(), parameters)

        return counted(render).bytes

    with torch.enable_grad():
        return max(range(DRAWS), key=taken)


def _measured(experiment: Experiment, encoded: int, side: int, index: int) -> dict[str, Amount]:
    """What a view of `side` pixels, encoded at `encoded`, goes through."""
    scene, prior, state, config = experiment.scene, experiment.prior, experiment.state, experiment.config
    look, parameters = _look(experiment, encoded, side, index), list(scene.parameters())
    found = {"encode": NOTHING, "encoded": NOTHING, "lora": NOTHING}
    with torch.no_grad():
        found["glance"] = counted(look)
        seen = look()
    with torch.enable_grad():

        def view() -> None:
            now = look()
            _differentiate(now.latents.sum() + now.render.opacity.sum(), parameters)

        found["view"] = counted(view)
        latents = seen.latents.detach()
        if seen.images is not None:
            images = seen.images.detach().requires_grad_()

            def encode() -> None:
                _differentiate(prior.encode(images).sum(), [images])

            found["encode"] = counted(encode)
            with torch.no_grad():
                found["encoded"] = counted(lambda: prior.encode(images))
            if isinstance(prior, RecomputingPrior):
                before, prior.recompute_encoder = prior.recompute_encoder, True
                try:
                    found["recomputed"] = counted(encode)
                finally:
                    prior.recompute_encoder = before
        leaves = {k: getattr(seen.render, k).detach().requires_grad_() for k in ("rgb", "opacity", "depth")}

        def losses() -> None:
            values = scene.regularization(RenderOutput(**leaves), 1.0)
            if values:
                _differentiate(torch.stack(list(values.values())).sum(), [*leaves.values(), *parameters])

        found["losses"] = counted(losses)
    t = torch.tensor([prior.schedule.n_timesteps // 2], device=latents.device)
    views, angles = [""], [(0.0, 0.0)] if scene.uses_cameras else None
    predict = Predictor(prior, experiment.prompts, views, state.adapter, None, angles)
    names = _conditions(experiment)
    with torch.no_grad():
        found["predict"] = counted(lambda: predict(names, latents, t))
    if state.adapter is not None:
        adapter, row = state.adapter.adapter, experiment.prompts.select("target", views)

        def train() -> None:
            loss = adapter.training_loss(latents, t, row, None, torch.zeros_like(latents))
            _differentiate(loss, list(adapter.parameters()))

        with torch.enable_grad():
            found["lora"] = counted(train)
    return found


def _differentiate(value: Tensor, inputs: Sequence[Tensor]) -> None:
    torch.autograd.grad(value, inputs, allow_unused=True)
