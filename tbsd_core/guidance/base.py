"""The protocol of a guidance method for the loop: a pure function of noise predictions.

A method may add to that: a LoRA (TrainingGuidance), an x_t and a noise of its own, found by evaluating the prior at
other noise levels (TrajectoryGuidance), a second gradient on the pictures (PixelGuidance). A method that edits also
names predictions about its source, the scene as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..priors.base import LoRAConfig
from ..priors.schedule import NoiseSchedule

# Predictions that need a source: a frozen scene, seen from the same cameras and noised with the same noise and t.
# source: the source at x_t^src under the source prompt. source_uncond: the same under the empty prompt.
# source_negative: the present picture at x_t under the source prompt.
AT_SOURCE = ("source", "source_uncond")
SOURCE_NAMES = (*AT_SOURCE, "source_negative")


@dataclass(frozen=True)
class GuidanceInputs:
    """Everything a method may look at in one step.

    Args:
        eps: noise predictions [B, C, h, w] by condition name ("target", "uncond", "negative",
            "target_negative", "lora", "lora_no_camera", SOURCE_NAMES); holds at least those that `required` asked for.
        noise: [B, C, h, w], the drawn noise, or its replacement by a trajectory.
        alphas_cumprod: [B], alpha_t^2 of each sample's timestep.
        t: [B] long, timestep indices.
        progress: training progress u = step / n_steps in [0, 1].
        n_timesteps: length of the prior's schedule; t / n_timesteps is how far along it a sample is.
        latents: [B, C, h, w], the clean latents of the scene; source: of the source. For methods with a source.
        schedule: the prior's, for the same methods.
    """

    eps: Mapping[str, Tensor]
    noise: Tensor
    alphas_cumprod: Tensor
    t: Tensor
    progress: float
    n_timesteps: int = 1000
    latents: Tensor | None = None
    source: Tensor | None = None
    schedule: NoiseSchedule | None = None

    @property
    def change(self) -> Tensor:
        """The change of the edit so far: latents minus the latents of the source, [B, C, h, w]."""
        assert self.latents is not None and self.source is not None, "the loop gives both to a method with a source"
        return self.latents - self.source


@dataclass(frozen=True)
class GuidanceOutput:
    """The gradient on the latents, and its parts.

    Args:
        grad: [B, C, h, w], detached; `latents.backward(grad / B)` is a descent step.
        terms: named directions [B, C, h, w] before weighting (for inspection).
        scalars: named values [B] to log (lambda, cosine, norms).
        pixel_grad: [B, 3, H, W], a gradient on the pictures beside the one on the latents, or None.
    """

    grad: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    scalars: dict[str, Tensor] = field(default_factory=dict)
    pixel_grad: Tensor | None = None


class Guidance(Protocol):
    """One score distillation method with its settings; holds no running state."""

    @property
    def config(self) -> Any:
        """The frozen dataclass of its settings, of the class `spec.MethodSpec.config`."""
        ...

    def required(self, progress: float) -> tuple[str, ...]:
        """Names of the conditions to evaluate at this progress; a weight of exactly zero drops one."""
        ...

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput: ...


@runtime_checkable
class TrainingGuidance(Protocol):
    """A method that also needs the score of the present renders.

    It asks for "lora" (that score, told the target and the camera) or "lora_no_camera"; the loop trains it.
    """

    @property
    def lora(self) -> LoRAConfig: ...


class Predict(Protocol):
    """Noise predictions of the frozen prior at any noise level, for the samples of a step or for some of them.

    A trajectory may leave samples behind, but only whole groups: it decides that with one draw per group
    (timesteps.shared_in_groups).
    """

    @property
    def group(self) -> int:
        """How many samples in a row the prior sees together, at one timestep; 1 for most priors."""
        ...

    def __call__(
        self,
        names: Sequence[str],  # of the conditions
        x_t: Tensor,  # [n, C, h, w]
        t: Tensor,  # [n] long
        samples: Tensor | None = None,  # [n] long on the host, which of the batch these are; None for all in order
    ) -> dict[str, Tensor]:
        """Predictions [n, C, h, w] by condition name."""
        ...


@dataclass(frozen=True)
class Trajectory:
    """Where a trajectory ends.

    Args:
        x_t: [B, C, h, w], the noisy latents at the drawn timesteps.
        noise: [B, C, h, w], the reference of the prediction at x_t.
    """

    x_t: Tensor
    noise: Tensor


@runtime_checkable
class TrajectoryGuidance(Protocol):
    """A method that reaches x_t along the prior's own trajectory and not by adding the drawn noise."""

    def visited(self, progress: float) -> tuple[str, ...]:
        """Names of the conditions that are evaluated on the way."""
        ...

    def visits(
        self,
        progress: float,
        t: Tensor,  # [B] long
        n_timesteps: int,  # of the schedule
    ) -> Tensor:
        """How often [B] those are evaluated, long."""
        ...

    def trajectory(
        self,
        latents: Tensor,  # [B, C, h, w], clean
        noise: Tensor,  # [B, C, h, w], drawn
        t: Tensor,  # [B] long, where to end; on the host, so that a trajectory can depend on it
        progress: float,
        schedule: NoiseSchedule,
        predict: Predict,
        generator: torch.Generator,  # on the CPU, new in each step
    ) -> Trajectory: ...


@runtime_checkable
class PixelGuidance(Protocol):
    """A method with a second gradient, on the pictures that were encoded."""

    def decodes(self, progress: float) -> bool:
        """Whether that gradient has a weight other than zero; `pixel_grad` is not called otherwise."""
        ...

    def pixel_grad(
        self,
        inputs: GuidanceInputs,
        latents: Tensor,  # [B, C, h, w], clean
        images: Tensor,  # [B, 3, H, W] in [0, 1], the pictures that were encoded
        decode: Callable[[Tensor], Tensor],  # latents to pictures of the size of `images`, without gradient
    ) -> Tensor:
        """Gradient [B, 3, H, W] in the scale of the one on the latents: both are summed over a sample."""
        ...


@runtime_checkable
class ShiftedGuidance(Protocol):
    """A method with a source that puts its noisy latents elsewhere than at the sum of picture and noise."""

    def shifted(
        self,
        x_t: Tensor,  # [B, C, h, w], the noised latents
        change: Tensor,  # [B, C, h, w], clean latents minus the clean latents of the source
        sigma_t: Tensor,  # [B, 1, 1, 1]
        progress: float,
    ) -> Tensor: ...


def has_source(guidance: Guidance) -> bool:
    """Whether a method compares with a source."""
    return any(name in SOURCE_NAMES for u in (0.0, 0.25, 0.5, 0.75, 0.99) for name in guidance.required(u))


def all_conditions(guidance: Guidance, progress: float) -> tuple[str, ...]:
    """Names of the conditions that a method evaluates at this progress, on the way to x_t and there."""
    visited = guidance.visited(progress) if isinstance(guidance, TrajectoryGuidance) else ()
    return tuple(dict.fromkeys((*guidance.required(progress), *visited)))
