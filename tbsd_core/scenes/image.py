"""Images as scenes: free pixels, for distillation in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..cameras.pose import Cameras
from ..rng import named_generator
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import BRIDGE_2D, MEASURED
from .base import PictureScene, RenderOutput
from .kept import N_BYTES, ORIGINAL, ORIGINAL_OF, WEIGHT, mixed
from .spec import SceneSpec

CONSTANT_RANGE = "no annealing in the published 2D runs (SDS-Bridge, arXiv:2406.09417)"
GAIN = 4.0  # sigmoid'(0) = 1/4: a small step of a mid-grey parameter is the same step of the pixel


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Size and start of image scenes."""

    size: int = setting(
        64,
        "Width and height in pixels. 64 for the demo models, 512 for Stable Diffusion 1.5.",
        at_least=1,
        low=16,
        high=2048,
        step=8,
    )
    n_images: int = setting(1, "How many independent pictures to optimise side by side.", at_least=1, high=16)
    init_noise: float = setting(0.05, at_least=0)  # standard deviation of the initial pixels around mid grey
    seed: int = setting(0, "Decides the noise that the pictures start from.")

    def __post_init__(self) -> None:
        check_settings(self)


class ImageScene(PictureScene):
    """Pixels behind a sigmoid: always inside the gamut, and with a gradient everywhere."""

    config: ImageConfig

    def __init__(self, config: ImageConfig | None = None) -> None:
        c = config or ImageConfig()
        super().__init__(c)
        generator = named_generator(c.seed, "image init")
        noise = torch.randn(c.n_images, 3, c.size, c.size, generator=generator)
        self.pixels = nn.Parameter(noise * c.init_noise)

    def render(
        self, cameras: Cameras, height: int, width: int, generator=None, with_normal=False, progress=1.0
    ) -> RenderOutput:
        """The images, whatever the cameras see; resized where another size is asked for. No normals."""
        rgb = torch.sigmoid(GAIN * self.pixels)
        if self.kept is not None:
            rgb = mixed(self.kept.get_buffer("pixels"), rgb, self.kept.weight)
        if (height, width) != (self.config.size, self.config.size):
            rgb = F.interpolate(rgb, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
        return self.as_render(cameras, rgb)

    def attachable(self) -> dict[str, tuple[int, ...]]:
        """The pictures that it was made from, and the pictures of which a part is locked."""
        shape = tuple(self.pixels.shape)
        weight = (shape[0], 1, *shape[2:])
        return {ORIGINAL: shape, ORIGINAL_OF: (N_BYTES,), WEIGHT: weight, "kept.pixels": shape}


def side_by_side(scenes: Sequence[Any]) -> Any:
    """One scene that holds the pictures of several image or latent scenes of one size, in order."""
    tensors = [scene.state_dict() for scene in scenes]
    joined = {name: torch.cat([t[name] for t in tensors]) for name in tensors[0]}
    n = sum(scene.config.n_images for scene in scenes)
    together = type(scenes[0])(replace(scenes[0].config, n_images=n))
    together.load_state_dict(joined)
    return together


def apart(scene: Any) -> list[Any]:
    """Each picture of an image or latent scene as a scene of its own."""
    config = replace(scene.config, n_images=1)
    singles = [type(scene)(config) for _ in range(scene.config.n_images)]
    for i, single in enumerate(singles):
        single.load_state_dict({name: t[i : i + 1].clone() for name, t in scene.state_dict().items()})
    return singles


SPEC = SceneSpec(
    name="image",
    label="Image",
    scene=ImageScene,
    config=ImageConfig,
    summary="free pixels",
    uses_cameras=False,
    fit=lambda config, given: replace(config, size=given.size),
    presets={
        (PUBLISHED, ""): {
            "optim.eps": Setting(1e-15, BRIDGE_2D),
            "optim.n_steps": Setting(1000, BRIDGE_2D),
            "optim.views_per_step": Setting(1, BRIDGE_2D),
            "optim.lr": Setting(0.01, "measured on the small world; published 2D runs optimise latents"),
            "optim.timesteps.t_min": Setting(0.02, BRIDGE_2D),
            "optim.timesteps.t_max": Setting(0.98, BRIDGE_2D),
            "optim.timesteps.t_max_end": Setting(0.98, CONSTANT_RANGE),
        },
        (DEMO, ""): {
            "optim.n_steps": Setting(250, MEASURED),
            "optim.views_per_step": Setting(1, MEASURED),
            "optim.lr": Setting(0.01, MEASURED),
        },
    },
)
