"""The needs of one view of a step, measured on small views: bytes of the device, and floating-point operations.

Small views of the real scene go through the real prior. The bytes of their tensors are linear in pixels, and the
operations of a network are a polynomial of second degree in them (attention), so both extrapolate to the size of the
run. `python -m benchmarks.step_memory` compares the memory with the peak of a process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras.sampling import sample_cameras
from ..counting import Amount, counted
from ..guidance.base import PixelGuidance, all_conditions
from ..optim.hints import NONE, Hints
from ..optim.parts import Seen
from ..optim.predictor import Predictor
from ..optim.step import LATENT_SUPERSAMPLING, Step
from ..priors.base import RecomputingPrior, views_per_group
from ..rng import named_generator
from ..scenes.base import AdaptiveScene, RenderOutput
from .experiment import Experiment

SMALL = 64  # pixels along a side of the smallest view that is measured; the others have twice and three times as many
FLOATS = 5  # that a render keeps for each pixel: colour, opacity, depth
PARTS = (0.0, 0.5, 0.99)  # progress at which a method is asked what it needs
DRAWS = 4  # steps among which the dearest is looked for: some are lit, which takes several times as much


@dataclass(frozen=True)
class Work:
    """Floating-point operations for one view: a multiplication and an addition are two.

    Args:
        glance: rendered and encoded without a gradient.
        see: the same with the gradient.
        again: the encoder once more, where backward recomputes it.
        predict: one noise prediction.
        train: the gradient of a LoRA, beyond the prediction.
        decode: a view decoded, for a method that compares pictures.
    """

    glance: float
    see: float
    again: float
    predict: float
    train: float
    decode: float = 0.0


@dataclass(frozen=True)
class Needs:
    """Bytes that a step holds once, for each view until the step ends, and while a view goes through.

    Args:
        recomputed: as `encode`, where backward computes the encoder again; None if the prior cannot.
        predict: of a network's forward with all conditions, of the training of its LoRA, or of the decoder.
    """

    once: float
    kept: float
    render: float
    encode: float
    recomputed: float | None
    predict: float
    work: Work


def needs_of(experiment: Experiment) -> Needs:
    """Measure the needs; nothing changes."""
    optim, factor = experiment.config.optim, experiment.prior.spatial_factor
    full = optim.encode_size or optim.size
    small = max(SMALL, 8 * factor) // factor * factor
    sides = sorted({min(n * small, full) for n in (1, 2, 3)})
    if len(sides) == 1:
        sides.insert(0, max(factor, full // 2 // factor * factor))
    scale = optim.size / full
    dearest = _dearest_step(experiment, max(1, round(sides[0] * scale)))
    views = [_view(experiment, side, max(1, round(side * scale)), dearest) for side in sides[:2]]
    _networks(experiment, sides[0])  # a prior may check itself in its first gradient
    networks = [_networks(experiment, side) for side in sides]
    area = [side**2 for side in sides]

    def line(amounts: Sequence[Mapping[str, Amount]], name: str) -> tuple[float, float]:
        """Bytes that it holds once, and for a view of full size.

        The held bytes grow with the view. So does the peak, unless something else causes it and hides this growth.
        """
        found, last = [m[name] for m in amounts], len(amounts) - 1
        apart = area[last] - area[0]
        peak, held = ((getattr(found[last], kind) - getattr(found[0], kind)) / apart for kind in ("bytes", "held"))
        slope = max(0.0, peak, held)
        return max(0.0, found[last].bytes - slope * area[last]), slope * full**2

    def operations(name: str) -> float:
        """The needs of a network at full size."""
        return extended(area, [m[name].flops for m in networks], full**2)

    def rays(whole: str, network: str) -> float:
        """Operations of rendering alone; the number of visible samples is less regular."""
        first, second = (max(0.0, v[whole].flops - m[network].flops) for v, m in zip(views, networks, strict=False))
        return max(0.0, first + (second - first) / (area[1] - area[0]) * (full**2 - area[0]))

    sizes = {name: line(views, name) for name in views[0]} | {name: line(networks, name) for name in networks[0]}
    # the record of the step before is still in somebody's hands; colours and opacity gather a gradient
    kept = optim.size**2 * 4 * (2 * FLOATS + 4) + sizes["losses"][1]
    if full != optim.size:
        kept += 2 * 3 * 4 * full**2  # the pictures that are encoded, and their gradient
    encode = sizes["encode"][1]
    render = max(0.0, sizes["view"][1] - encode)
    if optim.latent_until > 0:  # rays of latent cells, which can be more than the rays of a view
        more = max(1.0, (full // factor * LATENT_SUPERSAMPLING / optim.size) ** 2)
        kept, render = kept * more, render * more
    reference = 0.0 if experiment.reference is None else kept + render  # one more view, as long as its loss lasts
    predict = operations("predict") / len(_conditions(experiment))
    recomputes = "recomputed" in sizes
    return Needs(
        once=_state_bytes(experiment) + reference + max(once for once, _ in sizes.values()),
        kept=kept,
        render=render,
        encode=encode,
        recomputed=sizes["recomputed"][1] if recomputes else None,
        predict=max(sizes[name][1] for name in ("predict", "lora", "decode")),
        work=Work(
            glance=operations("encoded") + rays("glance", "encoded"),
            see=operations("encode") + rays("view", "encode"),
            again=operations("recomputed") - operations("encode") if recomputes else 0.0,
            predict=predict,
            train=max(0.0, operations("lora") - predict),
            decode=operations("decode"),
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
    """Bytes of the gradients and moments of the scene's parameters, of the copy that restores an adaptive scene, and of
    a source."""
    own = sum(p.numel() * p.element_size() for p in experiment.scene.parameters())
    source = {} if experiment.source is None else experiment.source.state_dict()
    kept = sum(v.numel() * v.element_size() for v in source.values())
    return kept + own * (6 if isinstance(experiment.scene, AdaptiveScene) else 3)


def _conditions(experiment: Experiment) -> Sequence[str]:
    """The most that the method asks for in a step."""
    return max((all_conditions(experiment.guidance, u) for u in PARTS), key=len)


def _dearest_step(experiment: Experiment, side: int) -> int:
    """The step whose view holds most, among the first ones, which differ in their draws."""
    scene, config = experiment.scene, experiment.config
    if not scene.uses_cameras:
        return 0
    cameras = sample_cameras(config.cameras, 1, named_generator(config.optim.seed, "camera")).to(_device(experiment))

    def held(index: int) -> float:
        drawn = named_generator(config.optim.seed, "jitter", index)
        return counted(lambda: scene.render(cameras, side, side, drawn)).held

    with torch.enable_grad():
        return max(range(DRAWS), key=held)


def _view(experiment: Experiment, encoded: int, side: int, index: int) -> dict[str, Amount]:
    """A view of a step at `side` pixels, encoded at `encoded`: without and with its gradient, and the losses."""
    scene, state, config = experiment.scene, experiment.state, experiment.config
    optim = replace(config.optim, size=side, encode_size=encoded, start_size=None)
    step = Step(replace(experiment.distillation, config=optim), state, index, None)
    n = optim.views_per_step // state.split.size if scene.uses_cameras else scene.n_images
    cameras = sample_cameras(config.cameras, n, named_generator(optim.seed, "camera", index)).to(step.device)
    parameters, found = list(scene.parameters()), {}
    shown: list[Seen] = []

    def look() -> Seen:
        return step.see(cameras, {}, slice(0, 1))

    def back(seen: Seen) -> None:
        _differentiate(seen.latents.sum() + seen.render.opacity.sum(), parameters)

    with torch.no_grad():
        found["glance"] = counted(look, shown.append)
    render = shown[0].render
    leaves = {k: getattr(render, k).detach().requires_grad_() for k in ("rgb", "opacity", "depth")}

    def losses() -> Tensor | None:
        values = scene.regularization(RenderOutput(**leaves, penalties=render.penalties), 1.0)
        return torch.stack(list(values.values())).sum() if values else None

    def back_of_losses(total: Tensor | None) -> None:
        if total is not None and total.requires_grad:  # a hash grid has no total variation
            _differentiate(total, [*leaves.values(), *parameters])

    with torch.enable_grad():
        found["view"] = counted(look, back)
        found["losses"] = counted(losses, back_of_losses)
    return found


def _networks(experiment: Experiment, side: int) -> dict[str, Amount]:
    """The encoder and the network on a view of `side` pixels, whatever it shows."""
    prior, state, device = experiment.prior, experiment.state, _device(experiment)
    cells = side // prior.spatial_factor
    images = torch.full((1, 3, side, side), 0.5, device=device, requires_grad=True)
    latents = torch.zeros(1, prior.latent_channels, cells, cells, device=device)
    found: dict[str, Amount] = dict.fromkeys(("encoded", "encode", "lora", "decode"), Amount())

    def encode() -> Tensor:
        return prior.encode(images)

    def back(encoded: Tensor) -> None:
        _differentiate(encoded.sum(), [images])

    if not _has_latents(experiment):
        with torch.no_grad():
            found["encoded"] = counted(encode)
        with torch.enable_grad():
            found["encode"] = counted(encode, back)
            if isinstance(prior, RecomputingPrior):
                before, prior.recompute_encoder = prior.recompute_encoder, True
                try:
                    found["recomputed"] = counted(encode, back)
                finally:
                    prior.recompute_encoder = before
    guidance = experiment.guidance
    if isinstance(guidance, PixelGuidance) and any(guidance.decodes(u) for u in PARTS):
        with torch.no_grad():
            found["decode"] = counted(lambda: prior.decode(latents))
    t = torch.tensor([prior.schedule.n_timesteps // 2], device=device)
    n = views_per_group(prior) if experiment.scene.uses_cameras else 1
    latents, t = latents.expand(n, -1, -1, -1), t.expand(n)
    views, angles = [""] * n, [(0.0, 0.0)] * n if experiment.scene.uses_cameras else None
    control, hints = experiment.config.control, None
    if control.kind != NONE:
        hints = Hints(torch.zeros(n, 3, side, side, device=device), control.strength)
    predict = Predictor(prior, experiment.prompts, views, state.adapter, None, angles, hints=hints)
    names = _conditions(experiment)
    with torch.no_grad():
        found["predict"] = counted(lambda: predict(names, latents, t, source=latents)).of_one(n)
    if state.adapter is not None:
        adapter, row = state.adapter.adapter, predict.conditions("target", range(n))
        with torch.enable_grad():
            found["lora"] = counted(
                lambda: adapter.training_loss(latents, t, row, None, torch.zeros_like(latents)),
                lambda loss: _differentiate(loss, list(adapter.parameters())),
            ).of_one(n)
    return found


def _has_latents(experiment: Experiment) -> bool:
    """Whether the scene is made of the prior's latents, so that it needs no encoder."""
    return experiment.config.scene_name == "latent"


def _device(experiment: Experiment) -> torch.device:
    return next(experiment.scene.parameters()).device


def _differentiate(value: Tensor, inputs: Sequence[Tensor]) -> None:
    torch.autograd.grad(value, inputs, allow_unused=True)
