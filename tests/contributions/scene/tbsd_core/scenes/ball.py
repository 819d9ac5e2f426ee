"""A ball of one colour: the smallest scene that has a surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..cameras.pose import Cameras
from ..cameras.rays import camera_rays
from ..renderer.background import BACKGROUND, over_background
from ..settings import DEMO, Setting, check_settings, setting
from .base import RenderOutput, Scene3D
from .spec import SceneSpec


@dataclass(frozen=True, kw_only=True)
class BallConfig:
    """Its start, and how soft its edge is."""

    radius: float = setting(0.5, "Radius of the ball at first.", above=0, at_most=1, low=0.05, step=0.05)
    softness: float = setting(0.02, above=0)  # of the edge, world units
    seed: int = setting(0, "The colour that the ball starts from.")

    def __post_init__(self) -> None:
        check_settings(self)


class BallScene(Scene3D):
    """A radius and a colour."""

    config: BallConfig
    bound = 1.0

    def __init__(self, config: BallConfig | None = None) -> None:
        c = config or BallConfig()
        super().__init__(c)
        self.radius = nn.Parameter(torch.tensor(c.radius))
        self.color = nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(c.seed)))

    def density(self, points: Tensor) -> Tensor:
        return 100 * torch.sigmoid((self.radius - points.norm(dim=-1)) / self.config.softness)

    def albedo(self, points: Tensor) -> Tensor:
        return torch.sigmoid(self.color).expand(len(points), 3)

    def render(
        self,
        cameras: Cameras,
        height: int,
        width: int,
        generator: torch.Generator | None = None,
        with_normal: bool = False,
        progress: float = 1.0,
    ) -> RenderOutput:
        """The disc that the ball is from everywhere."""
        rays_o, rays_d = camera_rays(cameras.to(self.color.device), height, width)
        nearest = -(rays_o * rays_d).sum(-1, keepdim=True)
        passed = (rays_o + nearest * rays_d).norm(dim=-1, keepdim=True)  # distance of the ray from the centre
        opacity = torch.sigmoid((self.radius - passed) / self.config.softness)
        rgb = over_background(opacity * torch.sigmoid(self.color), opacity, BACKGROUND)
        depth = nearest - (self.radius.detach() ** 2 - passed**2).clamp(min=0).sqrt()
        normal = nn.functional.normalize(rays_o + depth * rays_d, dim=-1)
        shown = (rgb, opacity, depth, *([normal] if with_normal else []))
        return RenderOutput(*(x.permute(0, 3, 1, 2) for x in shown))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "lr": lr}]


SPEC = SceneSpec(
    name="ball",
    label="Ball",
    scene=BallScene,
    config=BallConfig,
    summary="a ball of one colour",
    description="A ball to optimise: its radius and its colour.",
    presets={(DEMO, ""): {"optim.n_steps": Setting(7, "ours: there is little to learn")}},
)
