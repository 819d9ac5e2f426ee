"""Latents as scenes: distillation in the prior's own space, with no encoder between."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from ..cameras.pose import Cameras
from ..rng import named_generator
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import BRIDGE_2D, MEASURED
from .base import PictureScene, RenderOutput
from .image import CONSTANT_RANGE
from .spec import SceneSpec


@dataclass(frozen=True, kw_only=True)
class LatentImageConfig:
    """Size and start of latent scenes; channels and size must be the prior's."""

    n_images: int = setting(1, at_least=1)  # independent images, optimised side by side
    channels: int = setting(4, at_least=1)  # of the prior's latents
    size: int = setting(16, at_least=1)  # latent cells along each side
    init_scale: float = setting(1.0, at_least=0)  # standard deviation of the initial latents
    seed: int = 0  # of the initial latents

    def __post_init__(self) -> None:
        check_settings(self)


class LatentImageScene(PictureScene):
    """Free latents. `rgb` is only a stand-in for progress images; the prior's decoder makes the real ones."""

    config: LatentImageConfig

    def __init__(self, config: LatentImageConfig | None = None) -> None:
        c = config or LatentImageConfig()
        super().__init__(c)
        generator = named_generator(c.seed, "latent init")
        noise = torch.randn(c.n_images, c.channels, c.size, c.size, generator=generator)
        self.latents = nn.Parameter(noise * c.init_scale)

    def render(
        self, cameras: Cameras, height: int, width: int, generator=None, with_normal=False, progress=1.0
    ) -> RenderOutput:
        """The latents as they are, and their first channels squashed into a picture of the size asked for."""
        last = self.config.channels - 1
        first = torch.stack([self.latents[:, min(i, last)] for i in range(3)], 1)
        rgb = F.interpolate(torch.sigmoid(first), size=(height, width), mode="nearest")
        return self.as_render(cameras, rgb, self.latents)


SPEC = SceneSpec(
    name="latent",
    label="Image",
    scene=LatentImageScene,
    config=LatentImageConfig,
    summary="free latents",
    uses_cameras=False,
    fit=lambda config, given: replace(config, channels=given.latent_channels, size=given.size // given.spatial_factor),
    presets={
        (PUBLISHED, ""): {
            "optim.eps": Setting(1e-15, BRIDGE_2D),
            "optim.n_steps": Setting(1000, BRIDGE_2D),
            "optim.views_per_step": Setting(1, BRIDGE_2D),
            "optim.lr": Setting(0.01, BRIDGE_2D),
            "optim.timesteps.t_min": Setting(0.02, BRIDGE_2D),
            "optim.timesteps.t_max": Setting(0.98, BRIDGE_2D),
            "optim.timesteps.t_max_end": Setting(0.98, CONSTANT_RANGE),
        },
        (DEMO, ""): {
            "optim.n_steps": Setting(250, MEASURED),
            "optim.views_per_step": Setting(1, MEASURED),
            "optim.lr": Setting(0.03, MEASURED),
        },
    },
)
