"""What the optimisation asks of a diffusion prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from .schedule import NoiseSchedule

Condition = Any
"""One encoded prompt. Only the prior that made it looks inside (an embedding, log weights, a CONDITIONING)."""


class Prior(Protocol):
    """A frozen text-to-image diffusion model in the VP convention x_t = alpha_t x_0 + sigma_t noise."""

    schedule: NoiseSchedule
    spatial_factor: int  # image pixels per latent cell
    latent_channels: int

    def predict_noise(
        self,
        x_t: Tensor,  # [B, C, h, w]
        t: Tensor,  # [B] long, timestep indices
        conditions: Sequence[Sequence[Condition]],  # K conditions, each a list of B (one per sample)
    ) -> list[Tensor]:
        """K noise predictions [B, C, h, w] float32 from ONE batched forward, without gradient."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Latents [B, C, h, w] float32 of images [B, 3, H, W] in [0, 1]; differentiable."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] of latents, without gradient."""
        ...


class TextPrior(Prior, Protocol):
    """A prior that also reads text (in ComfyUI the CLIP node does that instead)."""

    def encode_prompt(self, text: str) -> Condition:
        """Encode one prompt. Raises ValueError naming what it does not understand."""
        ...
