"""What the optimisation asks of a diffusion prior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

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


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    rank: int = 4  # of each addition, >= 1; threestudio and diffusers use 4
    lr: float = 1e-4  # of AdamW; prolificdreamer.yaml
    camera_dropout: float = 0.1  # share of training samples without their pose, in [0, 1]; prolificdreamer.yaml

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}.")
        if not self.lr > 0:
            raise ValueError(f"lr must be > 0, got {self.lr}.")
        if not 0 <= self.camera_dropout <= 1:
            raise ValueError(f"camera_dropout must be in [0, 1], got {self.camera_dropout}.")


class Adapter(Protocol):
    """A trainable copy of a prior's score, an nn.Module; its own methods are those of priors/lora.py."""

    config: LoRAConfig

    # what nn.Module gives it
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def predict_noise(
        self, x_t: Tensor, t: Tensor, conditions: Sequence[Condition], poses: Tensor | None
    ) -> Tensor: ...

    def training_loss(
        self, x_t: Tensor, t: Tensor, conditions: Sequence[Condition], poses: Tensor | None, noise: Tensor
    ) -> Tensor: ...


@runtime_checkable
class AdaptablePrior(Protocol):
    """A prior with a network that can be fine-tuned beside it, while the prior itself stays as it is."""

    def make_adapter(self, config: LoRAConfig, seed: int) -> Adapter: ...
