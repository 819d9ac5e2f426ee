"""A neural radiance field: density and view-independent colour in the unit ball, rendered by volume compositing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..cameras.pose import Cameras
from ..cameras.rays import camera_rays
from ..renderer.background import BACKGROUND, over_background
from ..renderer.occupancy import visible_samples
from ..renderer.sampling import sample_intervals, sphere_interval
from ..renderer.volume import MIN_OPACITY, composite
from ..rng import named_generator
from .base import RenderOutput
from .encodings import ENCODINGS
from .normals import density_normals

MIN_NORMAL_WEIGHT = 1e-2  # samples below it are not worth six more density queries


@dataclass(frozen=True, kw_only=True)
class NeRFConfig:
    """Field, sampling and regularisers of a NeRF scene. Regulariser weights are relative to a data gradient
    of unit RMS averaged over pixels."""

    encoding: str = "dense"  # a name in scenes.encodings.ENCODINGS
    resolutions: tuple[int, ...] = (17, 49)  # grid points per axis of each level; see the encoding
    n_samples: int = 48  # intervals across the diameter of the scene
    bound: float = 1.0  # radius of the ball that holds the scene, world units
    density_scale: float = 10.0  # 1 / world unit; the largest density is about ten times this
    density_gain: float = 10.0  # step of the density logit per step of the encoding
    color_gain: float = 0.5  # step of the colour logits per step of the encoding; more over-saturates early
    blob_strength: float = 8.0  # logit of the initial density at the centre; 0 starts without an object
    blob_radius: float = 0.75  # fraction of the bound at which the initial logit crosses 0
    empty_logit: float = -1.0  # added to the density logit everywhere
    occupancy_resolution: int = 48  # coarse grid that skips empty and hidden samples; 0 evaluates all
    background: tuple[float, float, float] = BACKGROUND
    entropy_weight: float = 0.02  # opacity towards 0 or 1; ramps up over the first half
    opacity_weight: float = 0.01  # against fog
    tv_weight: float = 0.5  # against noise on the finest grid
    seed: int = 0  # of the initial parameters

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"NeRFConfig: unknown encoding {self.encoding!r}; choose from {', '.join(ENCODINGS)}.")
        if not self.resolutions or min(self.resolutions) < 2:
            raise ValueError(f"NeRFConfig: resolutions must be integers >= 2, got {self.resolutions}.")
        if self.n_samples < 2:
            raise ValueError(f"NeRFConfig: n_samples must be >= 2, got {self.n_samples}.")
        if self.occupancy_resolution != 0 and self.occupancy_resolution < 8:
            raise ValueError(
                f"NeRFConfig: occupancy_resolution must be 0 (off) or >= 8, got {self.occupancy_resolution}."
            )
        for name in ("bound", "density_scale", "density_gain", "color_gain", "blob_radius"):
            if not getattr(self, name) > 0:
                raise ValueError(f"NeRFConfig: {name} must be > 0, got {getattr(self, name)}.")
        for name in ("blob_strength", "entropy_weight", "opacity_weight", "tv_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"NeRFConfig: {name} must be >= 0, got {getattr(self, name)}.")
        if len(self.background) != 3 or not all(0 <= c <= 1 for c in self.background):
            raise ValueError(f"NeRFConfig: background must be three numbers in [0, 1], got {self.background}.")


class NeRFScene(nn.Module):
    """A 3D scene (see scenes.base.Scene3D) whose parameters are those of its encoding."""

    uses_cameras = True

    def __init__(self, config: NeRFConfig | None = None) -> None:
        super().__init__()
        self.config = config or NeRFConfig()
        self.bound = self.config.bound
        generator = named_generator(self.config.seed, "nerf init")
        self.encoding = ENCODINGS[self.config.encoding](self.config.resolutions, generator)

    def query(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Densities [N] and colours [N, 3] at points [N, 3] in world space; density 0 outside the ball.

        The density logit gets the radial bump of DreamFusion (arXiv:2209.14988, Section 3.2), so that
        training starts from a ball and the cameras never from within something solid.
        """
        c = self.config
        raw = self.encoding(points / c.bound)
        radius = points.norm(dim=-1) / c.bound
        logit = raw[:, 0] * c.density_gain + c.blob_strength * (1 - radius / c.blob_radius) + c.empty_logit
        density = F.softplus(logit) * c.density_scale * (radius < 1)
        return density, torch.sigmoid(raw[:, 1:] * c.color_gain)

    def density(self, points: Tensor) -> Tensor:
        """Densities [N] >= 0 at points [N, 3]."""
        return self.query(points)[0]

    def albedo(self, points: Tensor) -> Tensor:
        """Colours [N, 3] in [0, 1] at points [N, 3]."""
        return self.query(points)[1]

    def render(
        self,
        cameras: Cameras,
        height: int,
        width: int,
        generator: torch.Generator | None = None,
        with_normal: bool = False,
    ) -> RenderOutput:
        """Render B views; `normal` carries no gradient and is 0 where nothing is."""
        c = self.config
        device = next(self.parameters()).device
        rays_o, rays_d = (r.reshape(-1, 3) for r in camera_rays(cameras.to(device), height, width))
        near, far = sphere_interval(rays_o, rays_d, c.bound)
        t_starts, t_ends, t = sample_intervals(near, far, c.n_samples, c.bound, generator)
        index = visible_samples(
            self.density, rays_o, rays_d, t, t_starts, t_ends, c.bound, c.occupancy_resolution
        )
        rays = index // c.n_samples
        points = torch.addcmul(rays_o[rays], rays_d[rays], t.flatten()[index, None])
        density, color = self.query(points)
        out = composite(t_starts, t_ends, t, density, color, index)

        def image(x: Tensor) -> Tensor:
            return x.view(len(cameras), height, width, -1).permute(0, 3, 1, 2)

        normal = None
        if with_normal:
            weights = out.weights.detach().flatten()[index]
            keep = weights > MIN_NORMAL_WEIGHT
            n = density_normals(self.density, points[keep].detach(), step=c.bound / max(c.resolutions))
            total = torch.zeros_like(out.rgb).index_add(0, rays[keep], n * weights[keep, None])
            normal = image(F.normalize(total, dim=-1) * (out.opacity.detach() >= MIN_OPACITY))
        return RenderOutput(
            rgb=image(over_background(out.rgb, out.opacity, c.background)),
            opacity=image(out.opacity),
            depth=image(out.depth),
            normal=normal,
            weights=out.weights.view(len(cameras), height * width, c.n_samples),
        )

    def parameter_groups(self, lr: float) -> list[dict]:
        """Parameter groups of the encoding; lr = 0.02 with Adam suits the defaults."""
        return self.encoding.parameter_groups(lr)

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        """Opacity entropy (ramped over the first half), mean opacity, total variation of the finest grid."""
        c = self.config
        a = render.opacity.clamp(1e-4, 1 - 1e-4)
        entropy = -(a * a.log() + (1 - a) * (1 - a).log()).mean()
        return {
            "entropy": c.entropy_weight * min(1.0, 2 * progress) * entropy,
            "opacity": c.opacity_weight * render.opacity.mean(),
            "tv": c.tv_weight * self.encoding.total_variation(),
        }
