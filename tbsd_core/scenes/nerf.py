"""A neural radiance field: density and view-independent colour in the unit ball, rendered by volume compositing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.rays import camera_rays
from ..renderer.background import BACKGROUND, BACKGROUNDS, WHITE, Environment, over_background, random_colors
from ..renderer.chunks import MIN_CHUNK, in_chunks
from ..renderer.occupancy import coarse_density, grid_points, visible_samples
from ..renderer.regularizers import normal_smoothness, opacity_entropy, orientation, sparsity, z_variance
from ..renderer.sampling import sample_intervals, sphere_interval
from ..renderer.shading import lambertian, random_lights
from ..renderer.volume import MIN_OPACITY, accumulate, composite
from ..rng import named_generator, rand_rows
from ..settings import DEMO, PUBLISHED, Setting, check_settings, setting
from ..sources import AGAINST_SIGNAL, CSD_3D, MEASURED, NARROW_FRONT, REHEARSED, THREESTUDIO
from .base import RenderOutput, Scene3D
from .encodings import ENCODINGS, build_encoding, check_resolutions, encoding_setting, resolutions_setting
from .hash_grid import HASH_BITS
from .normals import NORMALS, analytic_normals, density_normals
from .spec import SceneSpec

MIN_NORMAL_WEIGHT = 1e-2  # samples below it are not worth six more density queries
ENVIRONMENT_LR = 0.1  # of the field's; threestudio: 0.001 to 0.01
MOST_SKIPPING = {True: 192, False: 64}  # points a side of the grid that skips samples, of a dense field and of others


def weight(default: float, tooltip: str, **hint: Any) -> Any:
    """A field with the weight of a regulariser."""
    return setting(default, tooltip, at_least=0, high=1, step=0.001, **hint)


@dataclass(frozen=True, kw_only=True)
class NeRFConfig:
    """Field, sampling and regularisers of a NeRF scene. Regulariser weights are relative to a data gradient
    of unit RMS averaged over pixels."""

    encoding: str = encoding_setting("the volume is")
    resolutions: tuple[int, ...] = resolutions_setting(
        (17, 49),
        "Grid points along each side of the finest level. More is sharper, slower and noisier.",
        low=9,
        high=512,
    )
    hash_bits: int = setting(
        HASH_BITS, meaning="the tables of a hash grid have 2 to this many rows", at_least=8, at_most=22
    )
    n_samples: int = setting(
        48,
        "Samples along each ray across the object. Use about as many as the grid has points.",
        at_least=2,
        low=8,
        high=512,
    )
    bound: float = setting(1.0, above=0)  # radius of the ball that holds the scene, world units
    density_scale: float = setting(10.0, above=0)  # 1 / world unit; the largest density is about ten times this
    density_gain: float = setting(10.0, above=0)  # step of the density logit per step of the encoding
    color_gain: float = setting(0.5, above=0)  # step of the colour logits; more over-saturates early
    blob_radius: float = setting(0.75, above=0)  # fraction of the bound at which the initial logit crosses 0
    empty_logit: float = -1.0  # added to the density logit everywhere
    occupancy_resolution: int = 48  # least of the grid that skips empty and hidden samples; 0 evaluates all
    chunk_rays: int = setting(0, at_least=0)  # rays rendered at once; 0 = all, and fewer where memory is short
    background: tuple[float, float, float] = setting(BACKGROUND, at_least=0, at_most=1)
    background_mode: str = setting(
        "solid",
        "solid: the grey of the demo models. random: a random colour in half of the views, so that the object "
        "cannot hide in the background. learned: an environment that is optimised along with the object. white: for "
        "Stable Zero123.",
        choices=BACKGROUNDS,
        optional=True,
    )
    shaded: float = setting(
        0.0,  # the priors' light is in the colours
        "Fraction of the steps that light the object from a random side, so that colour cannot pass for shape. 0 "
        "for the demo models, 0.5 or more for Stable Diffusion.",
        at_least=0,
        at_most=1,
        step=0.001,
        optional=True,
    )
    shaded_from: float = setting(0.0, meaning="progress before which no step is lit", at_least=0, at_most=1)
    # of those, share that shows the shape alone, in grey (threestudio's textureless_prob)
    textureless: float = setting(0.5, at_least=0, at_most=1)
    # finite: differences, for every encoding; analytic: exact and cheaper, for the hash grid only
    normals: str = setting("finite", choices=NORMALS)
    entropy_weight: float = setting(0.02, at_least=0)  # opacity towards 0 or 1; ramps up over the first half
    opacity_weight: float = weight(
        0.01,
        "Pushes against fog around the object. Raise it if the background is smoky, lower it if the object vanishes.",
    )
    tv_weight: float = weight(0.5, "Smooths the surface. Raise it against grainy colours.")  # on the finest grid
    sparsity_weight: float = weight(
        0.0, "Pushes against thin fog, harder than opacity_weight does.", optional=True
    )
    orientation_weight: float = weight(
        0.0, "Pushes against surfaces that turn away from the camera.", optional=True
    )
    z_variance_weight: float = weight(0.0, "Pushes against thick, cloudy surfaces.", optional=True)
    # logit of the initial density at the centre; 0 starts empty
    blob_strength: float = setting(
        8.0,
        "How solid the ball is that the volume starts as. Lower it, to 4, if a hole stays closed.",
        at_least=0,
        at_most=100,
        step=0.1,
        optional=True,
    )
    normal_weight: float = setting(0.0, meaning="weight of the smoothness of normals in the views", at_least=0)
    seed: int = setting(0, "Decides the values that the volume starts from.")

    def __post_init__(self) -> None:
        check_settings(self)
        check_resolutions(self.encoding, self.resolutions)
        if self.occupancy_resolution != 0 and self.occupancy_resolution < 8:
            raise ValueError(f"occupancy_resolution must be 0 (off) or >= 8, got {self.occupancy_resolution}.")
        if self.normals == "analytic" and not ENCODINGS[self.encoding].twice_differentiable:
            able = ", ".join(name for name, e in ENCODINGS.items() if e.twice_differentiable)
            raise ValueError(
                f"Analytic normals need an encoding with a second derivative ({able}), got {self.encoding!r}. Use "
                "finite ones."
            )


    @property
    def skipping_resolution(self) -> int:
        """Points along each side of the grid that skips samples; 0 evaluates all.

        A sheet of one cell of the field must be seen by it: between its points a sheet would be empty, and what is
        skipped has no gradient that could bring it back.
        """
        if self.occupancy_resolution == 0:
            return 0
        fine = min(-(-3 * max(self.resolutions) // 4), MOST_SKIPPING[self.encoding == "dense"])
        return max(self.occupancy_resolution, fine)

    @property
    def shifts_skipping(self) -> bool:
        """Whether the field is too fine for that grid. It then stands elsewhere in each step, so that nothing is missed
        for long; and at eight places at once for pictures, which is like a grid of twice its resolution."""
        return max(self.resolutions) > 1.5 * self.skipping_resolution


class NeRFScene(Scene3D):
    """A 3D scene with the parameters of its encoding."""

    config: NeRFConfig
    # constants that would be uploaded or made again at every render
    coarse_points: Tensor
    backdrop: Tensor

    def __init__(self, config: NeRFConfig | None = None) -> None:
        c = config or NeRFConfig()
        super().__init__(c)
        self.bound = c.bound
        generator = named_generator(c.seed, "nerf init")
        self.encoding = build_encoding(c.encoding, c.resolutions, generator, c.hash_bits)
        self.environment = Environment(c.background, generator) if c.background_mode == "learned" else None
        self.register_buffer("coarse_points", grid_points(c.bound, c.skipping_resolution), persistent=False)
        backdrop = torch.tensor(WHITE if c.background_mode == "white" else c.background)
        self.register_buffer("backdrop", backdrop, persistent=False)
        self.chunk_rays = c.chunk_rays
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
        self, cameras: Cameras, height: int, width: int, generator=None, with_normal=False, progress=1.0
    ) -> RenderOutput:
        """Render B views; `normal` is 0 where nothing is.

        With a generator (training), samples are jittered, and background and light are drawn, light from the progress
        `shaded_from` on. Without one, views have the plain colours in front of the solid or learned background.
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
        lights, colorless = self._draw_light(cameras, generator, progress)
        lit = None if lights is None else lights[:, None].expand(-1, height * width, -1).reshape(-1, 3)
        coarse = None
        if c.occupancy_resolution:
            coarse = coarse_density(self.density, c.bound, self.coarse_points, self._shifts(generator))
        faces_away = c.orientation_weight > 0
        with_normal = with_normal or (generator is not None and c.normal_weight > 0)
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

    def _shifts(self, generator: torch.Generator | None) -> Tensor | None:
        """Where the skipping grid stands, relative to its place: [n, 3], or None for the place itself."""
        c = self.config
        if not c.shifts_skipping:
            return None
        spacing = 2 * c.bound / (c.skipping_resolution - 1)
        if generator is None:
            half = torch.cartesian_prod(*[torch.tensor([-0.25, 0.25])] * 3)
        else:
            half = torch.rand(1, 3, generator=generator) - 0.5
        return (half * spacing).to(self.coarse_points, non_blocking=True)

    def _normals(self, points: Tensor) -> Tensor:
        points = points.detach()
        if self.config.normals == "analytic":
            return analytic_normals(self.density, points)
        return density_normals(self.density, points, step=self.bound / max(self.config.resolutions))

    def _draw_light(
        self, cameras: Cameras, generator: torch.Generator | None, progress: float
    ) -> tuple[Tensor | None, bool]:
        """Directions [B, 3] to the lights of this step, or None, and whether it shows the shape alone."""
        c = self.config
        if generator is None or c.shaded == 0:
            return None, False
        lit, plain = torch.rand(2, generator=generator).tolist()
        lights = random_lights(cameras.c2w()[:, :3, 3], generator)
        is_lit = lit < c.shaded and progress >= c.shaded_from
        return (lights, plain < c.textureless) if is_lit else (None, False)

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

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
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
        if c.normal_weight > 0 and render.normal is not None:
            losses["normal"] = c.normal_weight * normal_smoothness(render.normal)
        return losses | {name: getattr(c, f"{name}_weight") * value for name, value in render.penalties.items()}


CAMERAS = {
    "cameras.distance": Setting(2.0, f"{THREESTUDIO}: 1.5 to 2.0, of objects of about three quarters of our size"),
    "cameras.distance_max": Setting(2.7, f"{THREESTUDIO}: 2.0, likewise"),
    "cameras.fov_y": Setting(40.0, f"{THREESTUDIO}: 40 to 70 degrees"),
    "cameras.fov_y_max": Setting(70.0, THREESTUDIO),
    "cameras.elevation_min": Setting(-10.0, f"{THREESTUDIO}: -10 to 45 degrees"),
    "cameras.elevation_max": Setting(75.0, "ours: tops are seen, too; straight from above, up is undefined"),
    "cameras.front": Setting(30.0, NARROW_FRONT),
}

SPEC = SceneSpec(
    name="nerf",
    label="NeRF",
    scene=NeRFScene,
    config=NeRFConfig,
    summary="a volume",
    description="A 3D object to optimise. It starts as a grey ball. The defaults suit 64-pixel renders on a CPU.",
    presets={
        (PUBLISHED, ""): {
            "optim.n_steps": Setting(10_000, THREESTUDIO),
            "optim.views_per_step": Setting(4, "ours: calmer than the one view of dreamfusion-sd.yaml"),
            "optim.lr": Setting(
                0.02, "measured on the small world, for the dense grid; threestudio: 0.01 for hash grids"
            ),
            "optim.normalize_by": Setting("signal", AGAINST_SIGNAL),
            "optim.eps": Setting(1e-9, f"{REHEARSED}; threestudio: 1e-15"),
            "optim.size": Setting(256, "ours: between threestudio's 64 and the 512 of ProlificDreamer's last stage"),
            "optim.start_size": Setting(64, THREESTUDIO),
            **CAMERAS,
            "scene.resolutions": Setting((33, 129), "ours: for time and memory; threestudio: a hash grid up to 4096"),
            "scene.n_samples": Setting(128, "ours: as many as the grid has points; threestudio: 512 in a hash grid"),
            "scene.background_mode": Setting("learned", THREESTUDIO),
            "scene.shaded": Setting(0.5, f"ours: {THREESTUDIO} lights .75 of the steps, ProlificDreamer none"),
            "scene.shaded_from": Setting(0.2, f"{THREESTUDIO}: after 2000 of 10 000 steps"),
            "scene.tv_weight": Setting(0.1, REHEARSED),
            "optim.timesteps.t_min": Setting(0.02, THREESTUDIO),
            "optim.timesteps.t_max": Setting(0.98, THREESTUDIO),
            "optim.timesteps.t_max_end": Setting(0.5, "ProlificDreamer, arXiv:2305.16213: t_max falls to 0.5"),
            "optim.timesteps.anneal_end": Setting(0.5, "at step 5000 of 10 000, as " + CSD_3D),
        },
        (DEMO, ""): {
            "optim.n_steps": Setting(600, MEASURED),
            "optim.views_per_step": Setting(4, MEASURED),
            "optim.lr": Setting(0.02, MEASURED),
            "optim.latent_until": Setting(0.5, MEASURED),
        },
    },
)
