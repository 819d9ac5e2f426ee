"""Latents as scenes: distillation in the prior's own space, with no encoder between."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..cameras.pose import Cameras
from ..rng import named_generator
from .base import RenderOutput
from .image import check_view_count


@dataclass(frozen=True, kw_only=True)
class LatentImageConfig:
    """Size and start of latent scenes; channels and size must be the prior's."""

    n_images: int = 1  # independent images, optimised side by side
    channels: int = 4  # of the prior's latents
    size: int = 16  # latent cells along each side
    init_scale: float = 1.0  # standard deviation of the initial latents
    seed: int = 0  # of the initial latents

    def __post_init__(self) -> None:
        if min(self.n_images, self.channels, self.size) < 1:
            raise ValueError(
                "LatentImageConfig: n_images, channels and size must be >= 1, got "
                f"{self.n_images}, {self.channels} and {self.size}."
            )
        if self.init_scale < 0:
            raise ValueError(f"LatentImageConfig: init_scale must be >= 0, got {self.init_scale}.")


class LatentImageScene(nn.Module):
    """Free latents. `rgb` is only a stand-in for progress images; the prior's decoder makes the real ones."""

    uses_cameras = False

    def __init__(self, config: LatentImageConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or LatentImageConfig()
        generator = named_generator(c.seed, "latent init")
        noise = torch.randn(c.n_images, c.channels, c.size, c.size, generator=generator)
        self.latents = nn.Parameter(noise * c.init_scale)

    @property
    def n_images(self) -> int:
        return self.config.n_images

    def render(
        self,
        cameras: Cameras,
        height: int,
        width: int,
        generator: torch.Generator | None = None,
        with_normal: bool = False,
    ) -> RenderOutput:
        """The latents as they are, and their first channels squashed into a picture of the size asked for."""
        check_view_count(len(cameras), self.n_images, "LatentImageScene")
        last = self.config.channels - 1
        first = torch.stack([self.latents[:, min(i, last)] for i in range(3)], 1)
        rgb = F.interpolate(torch.sigmoid(first), size=(height, width), mode="nearest")
        ones = torch.ones(len(rgb), 1, height, width, dtype=rgb.dtype, device=rgb.device)
        return RenderOutput(rgb=rgb, opacity=ones, depth=torch.zeros_like(ones), latents=self.latents)

    def parameter_groups(self, lr: float) -> list[dict]:
        return [{"params": [self.latents], "lr": lr, "per_row": True}]  # each picture for itself, see SharedAdam

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        return {}
