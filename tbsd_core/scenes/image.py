"""Images as scenes: free pixels, for distillation in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..cameras.pose import Cameras
from ..rng import named_generator
from .base import RenderOutput

GAIN = 4.0  # sigmoid'(0) = 1/4: a small step of a mid-grey parameter is the same step of the pixel


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Size and start of image scenes."""

    n_images: int = 1  # independent images, optimised side by side
    size: int = 64  # pixels along each side
    init_noise: float = 0.05  # standard deviation of the initial pixels around mid grey
    seed: int = 0  # of the initial pixels

    def __post_init__(self) -> None:
        if self.n_images < 1 or self.size < 1:
            raise ValueError(f"ImageConfig: n_images and size must be >= 1, got {self.n_images} and {self.size}.")
        if self.init_noise < 0:
            raise ValueError(f"ImageConfig: init_noise must be >= 0, got {self.init_noise}.")


def check_view_count(n_cameras: int, n_images: int, scene: str) -> None:
    """Image scenes have no viewpoint; the number of cameras must still be the number of images."""
    if n_cameras != n_images:
        raise ValueError(
            f"{scene} holds {n_images} image(s) but was given {n_cameras} camera(s): use as many cameras as images."
        )


class ImageScene(nn.Module):
    """Pixels behind a sigmoid: always inside the gamut, and with a gradient everywhere."""

    uses_cameras = False

    def __init__(self, config: ImageConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or ImageConfig()
        generator = named_generator(c.seed, "image init")
        noise = torch.randn(c.n_images, 3, c.size, c.size, generator=generator)
        self.pixels = nn.Parameter(noise * c.init_noise)

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
        """The images, whatever the cameras see; resized where another size is asked for. No normals."""
        check_view_count(len(cameras), self.n_images, "ImageScene")
        rgb = torch.sigmoid(GAIN * self.pixels)
        if (height, width) != (self.config.size, self.config.size):
            rgb = F.interpolate(rgb, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
        ones = torch.ones(len(rgb), 1, height, width, dtype=rgb.dtype, device=rgb.device)
        return RenderOutput(rgb=rgb, opacity=ones, depth=torch.zeros_like(ones))

    def parameter_groups(self, lr: float) -> list[dict]:
        return [{"params": [self.pixels], "lr": lr, "per_row": True}]  # each picture for itself, see SharedAdam

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        return {}


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
