"""A neural radiance field: density and view-independent colour in the unit ball, rendered by volume compositing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..cameras.pose import Cameras
from ..cameras.rays import camera_rays
from ..renderer.background import BACKGROUND, BACKGROUNDS, Environment, over_background, random_colors
from ..renderer.chunks import MIN_CHUNK, in_chunks
from ..renderer.occupancy import coarse_density, grid_points, visible_samples
from ..renderer.regularizers import opacity_entropy, orientation, sparsity, z_variance
from ..renderer.sampling import sample_intervals, sphere_interval
from ..renderer.shading import lambertian, random_lights
from ..renderer.volume import MIN_OPACITY, accumulate, composite
from ..rng import named_generator, rand_rows
from .base import RenderOutput
from .encodings import ENCODINGS, check_encoding
from .normals import NORMALS, analytic_normals, density_normals

MIN_NORMAL_WEIGHT = 1e-2  # samples below it are not worth six more density queries
ENVIRONMENT_LR = 0.1  # of the field's; threestudio: 0.001 to 0.01


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
    chunk_rays: int = 0  # rays rendered at once; 0 = all, and fewer by itself where the memory is not enough
    background: tuple[float, float, float] = BACKGROUND
    background_mode: str = "solid"  # solid; random: half of the training views get another colour; learned
    shaded: float = 0.0  # share of training steps under a random light, in [0, 1]; the priors' light is in the colours
    textureless: float = 0.5  # of those, share that shows the shape alone, in grey (threestudio's textureless_prob)
    normals: str = "finite"  # differences, for every encoding; analytic: exact and cheaper, for the hash grid only
    entropy_weight: float = 0.02  # opacity towards 0 or 1; ramps up over the first half
    opacity_weight: float = 0.01  # against fog
    tv_weight: float = 0.5  # against noise on the finest grid
    sparsity_weight: float = 0.0  # against fog, stronger on thin fog than opacity_weight
    orientation_weight: float = 0.0  # against surfaces that turn away from the camera that sees them
    z_variance_weight: float = 0.0  # against thick, cloudy surfaces
    seed: int = 0  # of the initial parameters

    def __post_init__(self) -> None:
        check_encoding("NeRFConfig", self.encoding, self.resolutions)
        if self.n_samples < 2:
            raise ValueError(f"NeRFConfig: n_samples must be >= 2, got {self.n_samples}.")
        if self.occupancy_resolution != 0 and self.occupancy_resolution < 8:
            raise ValueError(
                f"NeRFConfig: occupancy_resolution must be 0 (off) or >= 8, got {self.occupancy_resolution}."
            )
        for name in ("bound", "density_scale", "density_gain", "color_gain", "blob_radius"):
            if not getattr(self, name) > 0:
                raise ValueError(f"NeRFConfig: {name} must be > 0, got {getattr(self, name)}.")
        weights = ("entropy", "opacity", "tv", "sparsity", "orientation", "z_variance")
        for name in ("blob_strength", *(f"{w}_weight" for w in weights)):
            if getattr(self, name) < 0:
                raise ValueError(f"NeRFConfig: {name} must be >= 0, got {getattr(self, name)}.")
        for name in ("shaded", "textureless"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"NeRFConfig: {name} must lie in [0, 1], got {getattr(self, name)}.")
        if self.chunk_rays < 0:
            raise ValueError(f"NeRFConfig: chunk_rays must be >= 0, got {self.chunk_rays}.")
        for name, known in (("background_mode", BACKGROUNDS), ("normals", NORMALS)):
            if getattr(self, name) not in known:
                raise ValueError(f"NeRFConfig: {name} must be {' or '.join(known)}, got {getattr(self, name)!r}.")
        if self.normals == "analytic" and not ENCODINGS[self.encoding].twice_differentiable:
            able = ", ".join(name for name, e in ENCODINGS.items() if e.twice_differentiable)
            raise ValueError(
                f"NeRFConfig: analytic normals need an encoding with a second derivative ({able}), got "
                f"{self.encoding!r}. Use finite ones."
            )
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
        learned = self.config.background_mode == "learned"
        self.environment = Environment(self.config.background, generator) if learned else None
        # constants that would be uploaded or made again at every render
        points = grid_points(self.bound, self.config.occupancy_resolution)
        self.register_buffer("coarse_points", points, persistent=False)
        self.register_buffer("backdrop", torch.tensor(self.config.background), persistent=False)
        self.chunk_rays = self.config.chunk_rays
        self._n_rays = 0  # of the last render

    def query(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Densities [N] and colours [N, 3] at points [N, 3] in world space; density 0 outside the ball.

        The density logit gets the radial bump of DreamFusion (arXiv:2209.14988, Section 3.2), so that
        training starts from a ball and the cameras never from within something solid.
        """
        local = self._local(points)
        density, color = self.encoding(local).split([1, 3], -1)
        return self._density(density.squeeze(-1), local), torch.sigmoid(color * self.config.color_gain)

    def _local(self, points: Tensor) -> Tensor:
        return points if self.bound == 1 else points / self.bound

    def _density(self, raw: Tensor, local: Tensor) -> Tensor:
        c = self.config
        radius = local.norm(dim=-1)
        s = c.density_scale  # s softplus(logit) is the softplus of s logit with beta = 1 / s, which saves a kernel
        bump = torch.rsub(radius, s * (c.blob_strength + c.empty_logit), alpha=s * c.blob_strength / c.blob_radius)
        logit = torch.add(bump, raw, alpha=s * c.density_gain)
        return F.softplus(logit, beta=1 / s) * (radius < 1)

    def density(self, points: Tensor) -> Tensor:
        """Densities [N] >= 0 at points [N, 3]."""
        local = self._local(points)
        return self._density(self.encoding(local)[:, 0], local)

    def albedo(self, points: Tensor) -> Tensor:
        """Colours [N, 3] in [0, 1] at points [N, 3]."""
        return torch.sigmoid(self.encoding(self._local(points))[:, 1:] * self.config.color_gain)

    def render(
        self,
        cameras: Cameras,
        height: int,
        width: int,
        generator: torch.Generator | None = None,
        with_normal: bool = False,
    ) -> RenderOutput:
        """Render B views; `normal` is 0 where nothing is.

        With a generator (training) samples are jittered, and light and background drawn; without one the
        views are those of the plain colours in front of the solid or learned background.
        """
        c = self.config
        device, n_views = next(self.parameters()).device, len(cameras)
        cameras = cameras.to(device)
        rays_o, rays_d = (r.reshape(-1, 3) for r in camera_rays(cameras, height, width))
        n_rays = self._n_rays = len(rays_o)
        near, far = sphere_interval(rays_o, rays_d, c.bound)
        u = None
        if generator is not None:  # for all rays at once, so that chunks do not change what is drawn
            u = rand_rows(n_rays, c.n_samples, generator=generator, dtype=near.dtype).to(device, non_blocking=True)
        lights, colorless = self._draw_light(cameras, generator)
        lit = None if lights is None else lights[:, None].expand(-1, height * width, -1).reshape(-1, 3)
        coarse = None
        if c.occupancy_resolution:
            coarse = coarse_density(self.density, c.bound, self.coarse_points)
        faces_away = c.orientation_weight > 0
        need_normals = with_normal or lit is not None or faces_away

        def march(rays: slice) -> dict[str, Tensor]:
            o, d = rays_o[rays], rays_d[rays]
            drawn = None if u is None else u[rays]
            t, delta = sample_intervals(near[rays], far[rays], c.n_samples, c.bound, drawn)
            index = visible_samples(coarse, o, d, t, delta)
            of_ray = index // c.n_samples
            points = torch.addcmul(o[of_ray], d[of_ray], t.flatten()[index, None])
            density, color = self.query(points)
            out = composite(t, delta, density, color, index)
            seen = {"rgb": out.rgb, "opacity": out.opacity, "depth": out.depth}
            if need_normals:
                weights = out.weights.flatten()[index]
                keep = (weights > MIN_NORMAL_WEIGHT).nonzero()[:, 0]
                n, seen_by, shown_by = self._normals(points[keep]), of_ray[keep], weights[keep]
                if with_normal:
                    normal = torch.zeros_like(out.rgb).index_add(0, seen_by, n * shown_by[:, None])
                    seen["normal"] = F.normalize(normal, dim=-1) * (out.opacity >= MIN_OPACITY)
                if faces_away:
                    turned = orientation(shown_by, n, d[seen_by])[:, None]
                    seen["orientation"] = torch.zeros_like(out.opacity).index_add(0, seen_by, turned)
                if lit is not None:
                    shine = torch.ones_like(weights)[:, None].index_copy(0, keep, lambertian(n, lit[rays][seen_by]))
                    shown = shine.expand(-1, 3) if colorless else shine * color
                    seen["rgb"] = accumulate(out.weights, shown, index)
            if c.z_variance_weight > 0:
                seen["z_variance"] = z_variance(out.weights, t, out.opacity)
            return seen

        seen = in_chunks(march, n_rays, self.chunk_rays)

        def image(x: Tensor) -> Tensor:
            return x.view(n_views, height, width, -1).permute(0, 3, 1, 2)

        backdrop = self._behind(rays_d, n_views, generator)
        return RenderOutput(
            rgb=image(over_background(seen["rgb"], seen["opacity"], backdrop)),
            opacity=image(seen["opacity"]),
            depth=image(seen["depth"]),
            normal=image(seen["normal"]) if with_normal else None,
            penalties={name: seen[name].mean() for name in ("orientation", "z_variance") if name in seen},
        )

    def _normals(self, points: Tensor) -> Tensor:
        points = points.detach()
        if self.config.normals == "analytic":
            return analytic_normals(self.density, points)
        return density_normals(self.density, points, step=self.bound / max(self.config.resolutions))

    def _draw_light(self, cameras: Cameras, generator: torch.Generator | None) -> tuple[Tensor | None, bool]:
        """Directions [B, 3] to the lights of this step, or None, and whether it shows the shape alone."""
        c = self.config
        if generator is None or c.shaded == 0:
            return None, False
        lit, plain = torch.rand(2, generator=generator).tolist()
        lights = random_lights(cameras.c2w()[:, :3, 3], generator)
        return (lights, plain < c.textureless) if lit < c.shaded else (None, False)

    def _behind(
        self,
        rays_d: Tensor,  # [R, 3]
        n_views: int,
        generator: torch.Generator | None,
    ) -> Tensor:
        if self.environment is not None:
            return self.environment(rays_d)
        if self.config.background_mode == "random" and generator is not None:
            colors = random_colors(n_views, self.config.background, generator).to(rays_d, non_blocking=True)
            return colors[:, None].expand(-1, len(rays_d) // n_views, -1).reshape(-1, 3)
        return self.backdrop

    def shrink(self) -> bool:
        """Halve the rays that are rendered at once; False at MIN_CHUNK."""
        chunk = min(self.chunk_rays or self._n_rays, self._n_rays) // 2
        if chunk < MIN_CHUNK:
            return False
        self.chunk_rays = chunk
        return True

    def parameter_groups(self, lr: float) -> list[dict]:
        """Parameter groups of the encoding and the environment; lr = 0.02 with Adam suits the defaults."""
        groups = self.encoding.parameter_groups(lr)
        if self.environment is not None:
            groups.append({"params": list(self.environment.parameters()), "lr": lr * ENVIRONMENT_LR})
        return groups

    def regularization(self, render: RenderOutput, progress: float) -> dict[str, Tensor]:
        """Weighted penalties, those whose weight is 0 left out; the entropy is ramped over the first half."""
        c = self.config
        losses = {
            "entropy": c.entropy_weight * min(1.0, 2 * progress) * opacity_entropy(render.opacity),
            "opacity": c.opacity_weight * render.opacity.mean(),
            "tv": c.tv_weight * self.encoding.total_variation(),
        }
        if c.sparsity_weight > 0:
            losses["sparsity"] = c.sparsity_weight * sparsity(render.opacity)
        return losses | {name: getattr(c, f"{name}_weight") * value for name, value in render.penalties.items()}
