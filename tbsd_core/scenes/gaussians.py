"""Gaussian splats as a scene: a fixed number of coloured 3D Gaussians, arXiv:2308.04079."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cameras.pose import Cameras
from ..cameras.rays import camera_rays
from ..renderer.background import BACKGROUND, over_background
from ..renderer.regularizers import opacity_entropy
from ..renderer.splatting import (
    BACKENDS,
    Splats,
    choose_backend,
    intrinsics,
    rotation_matrices,
    splat_reference,
    view_matrices,
)
from ..renderer.volume import MIN_OPACITY
from ..rng import named_generator
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import AGAINST_SIGNAL, MEASURED, NARROW_FRONT
from .base import RenderOutput, Scene
from .kept import PREFIX, WEIGHT, mixed
from .relocation import clear_moments, draw_targets, shared_opacity_and_scale
from .spec import SceneSpec

DREAM_GAUSSIAN = "DreamGaussian, arXiv:2309.16653, its configs/text.yaml"
# learning rates relative to the rate of the colours: DREAM_GAUSSIAN
POSITION_RATE, OPACITY_RATE, SCALE_RATE, ROTATION_RATE = 0.1, 5.0, 0.5, 0.5

NOT_MOVED = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
APART = 0.5  # standard deviations by which a Gaussian that moves onto another one is away from it; ours
MIN_ROWS = 8  # of pixels; drawing fewer at once costs more time than it saves memory


@dataclass(frozen=True, kw_only=True)
class GaussianConfig:
    """Number, start, densification and regularisers of a scene of Gaussians. Regulariser weights are relative
    to a data gradient of unit RMS averaged over pixels."""

    n_gaussians: int = setting(
        6000,
        "Number of Gaussians. It stays the same: faded ones move to where more are needed. A few thousand on a "
        "CPU, 50000 or more on a GPU with gsplat.",
        at_least=1,
        low=100,
        high=1_000_000,
    )
    # radius of the ball that holds the scene, world units; positions are kept inside
    bound: float = setting(1.0, above=0)
    init_radius: float = setting(0.6, above=0)  # of the ball of points it starts from / the bound (ours)
    # initial standard deviation in units of the mean spacing of the points (ours)
    init_scale: float = setting(0.8, above=0)
    init_opacity: float = setting(0.1, above=0, below=1)  # arXiv:2308.04079
    # position rate at the end of the run / at its start (ours; DreamGaussian: 0.02)
    position_decay: float = setting(0.1, above=0, at_most=1)
    relocate_every: int = setting(
        25,  # ours: for runs of some hundred steps
        "Steps between moves of faded Gaussians to opaque places. 0 never moves them.",
        at_least=0,
        high=1000,
    )
    relocate_end: float = setting(0.9, at_least=0, at_most=1)  # fraction of the run after which none are moved (ours)
    dead_opacity: float = setting(0.005, above=0, below=1)  # at or below it a Gaussian has faded, arXiv:2404.09591
    background: tuple[float, float, float] = setting(BACKGROUND, at_least=0, at_most=1)
    opacity_weight: float = setting(0.01, at_least=0)  # on the mean opacity of the Gaussians, arXiv:2404.09591
    scale_weight: float = setting(0.01, at_least=0)  # on their mean scale / bound, arXiv:2404.09591
    fog_weight: float = setting(0.01, at_least=0)  # on the mean opacity of the views, as for a NeRF (ours)
    # view opacity towards 0 or 1; ramps up over the first half, as for a NeRF (ours)
    entropy_weight: float = setting(0.02, at_least=0)
    backend: str = setting(
        "auto",
        "The renderer. auto: gsplat on a CUDA GPU if it is installed, else plain PyTorch.",
        choices=("auto", *BACKENDS),
    )
    seed: int = setting(0, "Decides the points that the scene starts from.")  # and of the moves
    # rows [3, 4] of the matrix from own coordinates, +y up, of splats that it started from to the scene
    place: tuple[float, ...] = NOT_MOVED

    def __post_init__(self) -> None:
        check_settings(self)
        place = np.array(self.place)
        if place.shape != (12,) or not np.isfinite(place).all() or not np.linalg.det(place.reshape(3, 4)[:, :3]) > 0:
            raise ValueError(f"place must be a matrix [3, 4] that can be undone, got {self.place}.")


class GaussianScene(Scene):
    """A 3D scene without volume: it is seen and saved as splats, and has no surface to cut out.

    Parameters: means [N, 3], log_scales [N, 3], quats [N, 4] (w, x, y, z), and the logits of opacities [N] and
    colours [N, 3].
    """

    config: GaussianConfig
    backdrop: Tensor

    def __init__(self, config: GaussianConfig | None = None) -> None:
        c = config or GaussianConfig()
        super().__init__(c)
        self.bound = c.bound
        generator = named_generator(c.seed, "gaussian init")
        n = c.n_gaussians
        direction = nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
        radius = c.init_radius * c.bound
        means = direction * torch.rand(n, 1, generator=generator) ** (1 / 3) * radius
        spacing = radius * (4 / 3 * math.pi / n) ** (1 / 3)
        quats = torch.zeros(n, 4)
        quats[:, 0] = 1
        self.means = nn.Parameter(means)
        self.log_scales = nn.Parameter(torch.full((n, 3), math.log(c.init_scale * spacing)))
        self.quats = nn.Parameter(quats)
        self.opacity_logits = nn.Parameter(torch.full((n,), math.log(c.init_opacity / (1 - c.init_opacity))))
        self.color_logits = nn.Parameter(torch.randn(n, 3, generator=generator) * 0.05)
        self.register_buffer("backdrop", torch.tensor(c.background), persistent=False)
        self.rows_at_once = 0  # of pixels; 0: as many as suit the device
        self._n_rows = 0  # of the last render

    def splats(self) -> Splats:
        """The Gaussians, activated."""
        p = self.values()
        return Splats(
            p["means"],
            p["quats"],
            p["log_scales"].exp(),
            torch.sigmoid(p["opacity_logits"]),
            torch.sigmoid(p["color_logits"]),
        )

    def values(self) -> dict[str, Tensor]:
        """The parameters by name; locked ones have their old values."""
        found: dict[str, Tensor] = dict(self.named_parameters())
        if self.kept is None:
            return found
        w = self.kept.weight
        return {
            name: mixed(self.kept.get_buffer(name), value, w.view(-1, *[1] * (value.ndim - 1)))
            for name, value in found.items()
        }

    def attachable(self) -> dict[str, tuple[int, ...]]:
        """The Gaussians of which some are locked."""
        return {WEIGHT: (self.config.n_gaussians,)} | {
            PREFIX + name: tuple(value.shape) for name, value in self.named_parameters()
        }

    def render(
        self, cameras: Cameras, height: int, width: int, generator=None, with_normal=False, progress=1.0
    ) -> RenderOutput:
        """Render B views; nothing is drawn at random. Normals come from the depth and carry no gradient.

        Raises:
            ImportError, ValueError: the backend gsplat is asked for and is missing, or there is no CUDA.
        """
        c = self.config
        device = self.means.device
        cameras = cameras.to(device)
        rasterize = choose_backend(c.backend, device)
        dtype = self.means.dtype
        viewmats, ks = view_matrices(cameras).to(dtype), intrinsics(cameras, height, width).to(dtype)
        self._n_rows = len(cameras) * height
        rgb, opacity, axial = rasterize(self.splats(), viewmats, ks, height, width, self.rows_at_once)
        rays_o, rays_d = camera_rays(cameras, height, width)
        forward = -cameras.c2w()[:, None, None, :3, 2]
        along = (rays_d * forward).sum(-1, keepdim=True)  # axial depth / distance along the ray
        depth = axial / opacity.clamp(min=MIN_OPACITY) / along * (opacity >= MIN_OPACITY)

        def image(x: Tensor) -> Tensor:
            return x.permute(0, 3, 1, 2)

        normal = None
        if with_normal:
            normal = image(_depth_normals(rays_o + rays_d * depth.detach(), rays_d, depth.detach() > 0))
        return RenderOutput(image(over_background(rgb, opacity, self.backdrop)), image(opacity), image(depth), normal)

    def shrink(self) -> bool:
        """Halve the rows that are drawn at once; False at MIN_ROWS, and with gsplat, which has no such pieces."""
        rows = min(self.rows_at_once or self._n_rows, self._n_rows) // 2
        if rows < MIN_ROWS or choose_backend(self.config.backend, self.means.device) is not splat_reference:
            return False
        self.rows_at_once = rows
        return True

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Adam's groups; lr is the rate of the colours, the others are in DreamGaussian's ratio to it."""
        rates = {
            "means": POSITION_RATE * self.bound,
            "log_scales": SCALE_RATE,
            "quats": ROTATION_RATE,
            "opacity_logits": OPACITY_RATE,
            "color_logits": 1.0,
        }
        return [{"params": [getattr(self, name)], "lr": lr * rate} for name, rate in rates.items()]

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        """Opacity and scale of the Gaussians, opacity of the views and its entropy (ramped over the first half)."""
        c = self.config
        return {
            "opacity": c.opacity_weight * torch.sigmoid(self.opacity_logits).mean(),
            "scale": c.scale_weight * self.log_scales.exp().mean() / self.bound,
            "fog": c.fog_weight * render.opacity.mean(),
            "entropy": c.entropy_weight * min(1.0, 2 * progress) * opacity_entropy(render.opacity),
        }

    @torch.no_grad()
    def adapt(self, optimizer: torch.optim.Optimizer, step: int, n_steps: int) -> None:
        """Before a step: the position rate of this step, and faded Gaussians moved to where others are opaque.

        All of it is a function of the parameters and the step, so that a resumed run continues exactly.
        """
        c = self.config
        progress = step / n_steps
        for group in optimizer.param_groups:
            if group["params"][0] is self.means:
                group["lr"] *= c.position_decay**progress
        norm = self.means.norm(dim=-1, keepdim=True)
        self.means.mul_((c.bound / norm.clamp(min=1e-12)).clamp(max=1))
        if c.relocate_every and step and step % c.relocate_every == 0 and progress < c.relocate_end:
            self.relocate(optimizer, named_generator(c.seed, "relocate", step))

    @torch.no_grad()
    def relocate(self, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> int:
        """Move faded Gaussians onto opaque ones (arXiv:2404.09591, Section 3.3); returns how many.

        Nothing happens where all have faded, since there is nowhere to go.
        """
        opacities = torch.sigmoid(self.opacity_logits)
        dead = opacities <= self.config.dead_opacity
        if self.kept is not None:  # none that is locked, or at the border, moves or shares its place
            free = self.kept.weight == 1
            dead &= free
            opacities = opacities * free
        if not dead.any() or not (opacities > self.config.dead_opacity).any():
            return 0
        rows = dead.nonzero()[:, 0]
        targets = draw_targets(opacities, dead, generator)
        counts = torch.bincount(targets, minlength=len(dead)) + 1
        hosts = (counts > 1).nonzero()[:, 0]
        new, factor = shared_opacity_and_scale(opacities[hosts], counts[hosts])
        self.opacity_logits[hosts] = torch.logit(new.clamp(self.config.dead_opacity, 1 - 1e-6))
        self.log_scales[hosts] += factor.log()[:, None]
        for parameter in self.parameters():
            parameter[rows] = parameter[targets]
            clear_moments(optimizer, parameter, torch.cat([rows, hosts]))
        # two equal Gaussians would have equal gradients and stay one. (The paper adds noise to all, in each step.)
        noise = torch.randn(len(rows), 3, generator=generator).to(self.means)
        turned = rotation_matrices(self.quats[rows]) @ (noise * self.log_scales[rows].exp())[..., None]
        self.means[rows] += APART * turned[..., 0]
        return len(rows)


def _depth_normals(points: Tensor, rays_d: Tensor, seen: Tensor) -> Tensor:
    """Unit normals [B, H, W, 3] of a depth image's points, towards the camera; 0 at pixels next to unseen ones."""

    def central(x: Tensor, dim: int) -> Tensor:
        return x.roll(-1, dim) - x.roll(1, dim)

    normal = nn.functional.normalize(torch.linalg.cross(central(points, 2), central(points, 1)), dim=-1)
    normal = torch.where((normal * rays_d).sum(-1, keepdim=True) > 0, -normal, normal)
    inner = seen.clone()
    for dim in (1, 2):
        inner &= seen.roll(1, dim) & seen.roll(-1, dim)
    inner[:, [0, -1]] = False
    inner[:, :, [0, -1]] = False
    return normal * inner


SPEC = SceneSpec(
    name="gaussian",
    label="Gaussian",
    scene=GaussianScene,
    config=GaussianConfig,
    summary="Gaussian splats",
    description="A 3D object made of coloured Gaussians (splats). It starts as a faint grey ball.",
    presets={
        (PUBLISHED, ""): {
            "optim.n_steps": Setting(500, DREAM_GAUSSIAN),
            "optim.views_per_step": Setting(4, "ours: DreamGaussian takes one view"),
            "optim.lr": Setting(0.01, f"{DREAM_GAUSSIAN}: its rate of the colours"),
            "optim.size": Setting(256, "ours: between the 128 and 512 pixels of DreamGaussian, arXiv:2309.16653"),
            "optim.normalize_by": Setting("signal", AGAINST_SIGNAL),
            "optim.eps": Setting(1e-9, "ours: as of the NeRF"),
            "optim.timesteps.t_min": Setting(0.02, DREAM_GAUSSIAN),
            "optim.timesteps.t_max": Setting(0.98, DREAM_GAUSSIAN),
            "optim.timesteps.t_max_end": Setting(0.02, f"{DREAM_GAUSSIAN}: the noise falls to t_min"),
            "optim.timesteps.anneal_end": Setting(1.0, f"{DREAM_GAUSSIAN}: evenly over the run"),
            "optim.timesteps.draw": Setting("highest", DREAM_GAUSSIAN),
            "cameras.distance": Setting(2.5, DREAM_GAUSSIAN),
            "cameras.fov_y": Setting(49.1, DREAM_GAUSSIAN),
            "cameras.elevation_min": Setting(-30.0, DREAM_GAUSSIAN),
            "cameras.elevation_max": Setting(30.0, DREAM_GAUSSIAN),
            "cameras.front": Setting(30.0, NARROW_FRONT),
            "scene.background": Setting((1.0, 1.0, 1.0), f"{DREAM_GAUSSIAN}: white, or black"),
        },
        (DEMO, ""): {
            "optim.n_steps": Setting(300, MEASURED),
            "optim.views_per_step": Setting(4, MEASURED),
            "optim.lr": Setting(0.02, MEASURED),
        },
    },
)
