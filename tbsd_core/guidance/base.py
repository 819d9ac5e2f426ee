"""What the loop asks of a guidance method: a pure function of noise predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor

from ..priors.base import LoRAConfig


@dataclass(frozen=True)
class GuidanceInputs:
    """Everything a method may look at in one step.

    Args:
        eps: noise predictions [B, C, h, w] by condition name ("target", "uncond", "negative",
            "target_negative", "lora", "lora_no_camera"); holds at least the names that `required` asked for.
        noise: [B, C, h, w], the noise that was drawn.
        alphas_cumprod: [B], alpha_t^2 of each sample's timestep.
        t: [B] long, timestep indices.
        progress: training progress u = step / n_steps in [0, 1].
    """

    eps: Mapping[str, Tensor]
    noise: Tensor
    alphas_cumprod: Tensor
    t: Tensor
    progress: float


@dataclass(frozen=True)
class GuidanceOutput:
    """The gradient on the latents, and what it was made of.

    Args:
        grad: [B, C, h, w], detached; `latents.backward(grad / B)` is a descent step.
        terms: named directions [B, C, h, w] before weighting (for inspection).
        scalars: named values [B] to log (lambda, cosine, norms).
    """

    grad: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    scalars: dict[str, Tensor] = field(default_factory=dict)


class Guidance(Protocol):
    """One score distillation method with its hyperparameters; holds no running state."""

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
