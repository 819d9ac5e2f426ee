"""A method asked about one batch of latents: noised, predicted in one forward, judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..guidance.base import (
    AT_SOURCE,
    Guidance,
    GuidanceInputs,
    GuidanceOutput,
    PixelGuidance,
    ShiftedGuidance,
    TrajectoryGuidance,
)
from ..rng import named_generator
from ..transfer import to_device
from .predictor import Predictor
from .resolution import enlarged

# they change slowly while noise and timestep stay; a source's predictions do not change at all
REUSABLE = ("uncond", "negative", "target_negative", "source_negative", *AT_SOURCE)


@dataclass(frozen=True)
class Batch:
    """The batch that a step asks about.

    Args:
        latents: [B, C, h, w], clean.
        t: [B] timestep indices; on the host a trajectory need not wait for them.
        noise: [B, C, h, w], drawn.
        images: [B, 3, H, W] in [0, 1], the encoded pictures; None if latents are the scene.
        source: [B, C, h, w], clean latents of the source, for a method that has one.
    """

    latents: Tensor
    t: Tensor
    noise: Tensor
    images: Tensor | None = None
    source: Tensor | None = None


@dataclass(frozen=True)
class Judgement:
    """The answer of a method for a batch, and the predictions that the next step may reuse (see reuse_steps)."""

    out: GuidanceOutput
    reusable: Mapping[str, Tensor]


def predict_and_guide(
    guidance: Guidance,
    predict: Predictor,
    batch: Batch,
    progress: float,
    known: Mapping[str, Tensor] | None = None,  # predictions of an earlier step that are reused, by condition
    generator: torch.Generator | None = None,  # of what trajectories draw; None as in the first step of seed 0
) -> Judgement:
    """Noise the latents, evaluate the conditions that the method needs in one forward, and ask the method.

    A method with a trajectory evaluates the prior on the way to its x_t, and one with a gradient on pixels
    has an estimate decoded. A source is noised with the same noise and timesteps.

    Raises:
        ValueError: a gradient on pixels where there are none.
    """
    names, known, prior = guidance.required(progress), dict(known or {}), predict.prior
    latents, noise, schedule = batch.latents, batch.noise, prior.schedule
    t = to_device(batch.t, latents.device)
    if isinstance(guidance, TrajectoryGuidance):
        generator = named_generator(0, "trajectory") if generator is None else generator
        end = guidance.trajectory(latents, noise, batch.t.cpu(), progress, schedule, predict, generator)
        x_t, noise = end.x_t, end.noise
    else:
        x_t = schedule.add_noise(latents, noise, t)
    noisy_source = None if batch.source is None else schedule.add_noise(batch.source, noise, t)
    if isinstance(guidance, ShiftedGuidance) and batch.source is not None:
        x_t = guidance.shifted(x_t, latents - batch.source, schedule.alpha_sigma(t)[1], progress)
    new = predict([name for name in names if name not in known], x_t, t, source=noisy_source)
    reusable = known | {name: e for name, e in new.items() if name in REUSABLE}
    eps = {name: new[name] if name in new else known[name] for name in names}
    about = (latents, batch.source, schedule)
    inputs = GuidanceInputs(eps, noise, schedule.at(t), t, progress, schedule.n_timesteps, *about)
    out = guidance(inputs)
    if isinstance(guidance, PixelGuidance) and guidance.decodes(progress):
        if batch.images is None:
            raise ValueError(
                f"{type(guidance).__name__} compares pictures, but this scene is made of latents. Set its "
                "pixel_scale to 0, or optimise pixels or a 3D scene."
            )
        side = batch.images.shape[-1]

        def decode(z: Tensor) -> Tensor:
            parts = [enlarged(prior.decode(part), side) for part in z.split(predict.at_once or len(z))]
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        grad = guidance.pixel_grad(inputs, latents, batch.images, decode)
        out = replace(out, pixel_grad=grad)
    return Judgement(out, reusable)
