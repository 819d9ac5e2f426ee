"""The paths that methods take, and could take, in the plane of two objectives: shape and texture.

After Figure 3b of TBSD (arXiv:2511.11710): "Solid lines indicate reachable optimization paths, while dashed lines
indicate unreachable ones". The text that we have does not define its axes. Here both objectives are log-odds of
implicit classifiers, in nats, means over fixed pairs of a noise level t and a noise:

    shape    L_s(z) = mean [ log p_t(x_t | target) - log p_t(x_t) ]                     target or any picture
    texture  L_t(z) = mean [ log p_t(x_t | target) - log p_t(x_t | target_negative) ]   good or faulty target

with x_t = alpha_t z + sigma_t noise. A diffusion prior knows only their gradients,

    g_s = dL_s/dz = mean [ -(alpha_t / sigma_t) delta_cls ],  g_t = the same with delta_tnp,

so that the change of L along a path is the line integral of <g, dz>, here by the trapezoidal rule between measured
points: exact where L is quadratic, as it is for Gaussians. All paths start at (0, 0), and with the same start and
the same pairs they can be compared. A network's prediction is only approximately a gradient, so the value at a point
depends a little on the path to it.

Reachable: a balancer steps along a g_s + b g_t with a, b >= 0, and such a step moves the point in the plane by
G (a, b), G = [[<g_s,g_s>, <g_s,g_t>], [<g_s,g_t>, <g_t,g_t>]]. The directions of the plane inside that cone are
reachable at this point, the others are not, whatever the balancer. The optimiser's own scaling of coordinates, the
residual (anchor) and regularisers are not combinations of the two: with them a path may leave its cone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..experiment import Experiment
from ..grid import labelled_grid, stacked
from ..optim.resolution import enlarged
from ..priors.base import Prior
from ..prompts import PromptSet
from ..rng import named_generator
from ..settings import check_settings, setting
from ..study import Entry, Failure, Host, StudyStep
from ..study.watch import PLAIN
from ..transfer import double_device
from .charts import COLOURS, GRID, INK, drawn, new_figure, plain_axes, points
from .pictures import Result, front, watch_pictures
from .sheet import Sheet

CONDITIONS = ("target", "uncond", "target_negative")
RAYS = 16  # directions of the plane that are tried at a point
CONES = 3  # points of the last path at which we try them


@dataclass(frozen=True, kw_only=True)
class PathConfig:
    every: int = setting(
        5, "Steps between measured points. Fewer steps are more exact and slower.", at_least=1, high=1000
    )
    # parts of the prior's schedule
    t: tuple[float, ...] = setting((0.3, 0.5, 0.7), meaning="noise levels of the objectives", above=0, below=1)
    n_noises: int = setting(2, "Noise draws per level that the objectives are averaged over.", at_least=1, high=64)
    seed: int = setting(0, meaning="of the noises")

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.t:
            raise ValueError("t must be one or more numbers in (0, 1), got none.")


@dataclass(frozen=True)
class PathPoint:
    """One measured point; objectives in nats since the start.

    Args:
        gram: <g_s, g_s>, <g_s, g_t>, <g_t, g_t>.
        moved: length of the change of the latents since the last measured point.
    """

    step: int
    progress: float
    shape: float
    texture: float
    gram: tuple[float, float, float]
    moved: float

    @property
    def cosine(self) -> float:
        """Between the two directions; 0 where one is zero."""
        ss, st, tt = self.gram
        return st / math.sqrt(ss * tt) if ss * tt > 0 else 0.0

    def numbers(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "progress": self.progress,
            "shape": self.shape,
            "texture": self.texture,
            "norm_shape": math.sqrt(self.gram[0]),
            "norm_texture": math.sqrt(self.gram[2]),
            "inner_product": self.gram[1],
            "cosine": self.cosine,
            "moved": self.moved,
        }


@dataclass
class ObjectivePath:
    """The measured points of one entry."""

    label: str
    points: list[PathPoint] = field(default_factory=list)


class Objectives:
    """The gradients of both objectives at latents, always at the same noise levels and noises."""

    def __init__(self, prior: Prior, prompts: PromptSet, config: PathConfig) -> None:
        self.prior, self.prompts, self.config = prior, prompts, config

    @torch.no_grad()
    def gradients(self, latents: Tensor, views: Sequence[str]) -> tuple[Tensor, Tensor]:
        """g_s and g_t, each [B, C, h, w], at latents [B, C, h, w] of B pictures with their view names."""
        prior, config = self.prior, self.config
        batch, total = len(latents), (torch.zeros_like(latents), torch.zeros_like(latents))
        for level in config.t:
            timestep = round(level * (prior.schedule.n_timesteps - 1))
            t = torch.full((batch,), timestep, device=latents.device)
            alpha_t, sigma_t = prior.schedule.alpha_sigma(t)
            for k in range(config.n_noises):
                generator = named_generator(config.seed, f"objective {timestep}", k)
                noise = torch.randn(latents.shape, generator=generator).to(latents.device)
                x_t = prior.schedule.add_noise(latents, noise, t)
                rows = [self.prompts.select(name, views) for name in CONDITIONS]
                target, *others = prior.predict_noise(x_t, t, rows)
                for gradient, other in zip(total, others, strict=True):
                    gradient -= alpha_t / sigma_t * (target - other) / (len(config.t) * config.n_noises)
        return total


def objective_paths(
    entries: Sequence[Entry],
    prior: Prior,
    config: PathConfig,
    results: list[Result],
    paths: list[ObjectivePath],  # filled as it goes, as `results` is
    host: Host = PLAIN,
) -> Iterator[StudyStep | Failure]:
    """Run the entries as `study.watch` does, and measure the path of each. Objects are measured from the front.

    Raises:
        Exception: every entry failed, see `study.watch`; also ValueError if the prompts lack a condition of the two
            objectives.
    """
    before: Measured | None = None

    def measure(step: StudyStep) -> None:
        nonlocal before
        if step.record is None:
            before = None
            paths.append(ObjectivePath(step.label))
        if step.experiment.state.step % config.every == 0 or step.is_last:
            before = _measure(paths[-1], step.experiment, config, before)

    for step in watch_pictures(entries, prior, results, (0.0, 1.0), measure, host):
        if isinstance(step, Failure) and len(paths) == step.index:
            paths.append(ObjectivePath(step.label))
        yield step


Measured = tuple[Tensor, Tensor, Tensor]  # latents and the gradients of both objectives, each [B, C, h, w]


def _measure(path: ObjectivePath, experiment: Experiment, config: PathConfig, before: Measured | None) -> Measured:
    """Add a point to a path; `before` is the measurement at the last one."""
    latents, views = scene_latents(experiment)
    g_s, g_t = Objectives(experiment.prior, experiment.prompts, config).gradients(latents, views)
    shape = texture = moved = 0.0
    if before is not None:
        z, last_s, last_t = before
        shape = path.points[-1].shape + _dot((last_s + g_s) / 2, latents - z)
        texture = path.points[-1].texture + _dot((last_t + g_t) / 2, latents - z)
        moved = math.sqrt(_dot(latents - z, latents - z))
    gram = (_dot(g_s, g_s), _dot(g_s, g_t), _dot(g_t, g_t))
    step = experiment.state.step
    path.points.append(PathPoint(step, step / experiment.config.optim.n_steps, shape, texture, gram, moved))
    return latents, g_s, g_t


def _dot(a: Tensor, b: Tensor) -> float:
    """Inner product per picture, mean over the pictures."""
    a, b = (x.to(double_device(x.device)).double() for x in (a, b))
    return float((a * b).sum() / len(a))


@torch.no_grad()
def scene_latents(experiment: Experiment) -> tuple[Tensor, list[str]]:
    """The prior's latents [B, C, h, w] of a scene's pictures (of an object, its front view), and their view names."""
    scene, prior, optim = experiment.scene, experiment.prior, experiment.config.optim
    cameras, views = front(scene, experiment.config.cameras)
    render = scene.render(cameras, optim.size, optim.size)
    if render.latents is not None:
        return render.latents.clone(), views
    return prior.encode(enlarged(render.rgb, optim.encode_size)), views


def reachable(gram: tuple[float, float, float], direction: tuple[float, float]) -> bool:
    """Whether a step a g_s + b g_t with a, b >= 0 moves the point of the plane in this direction."""
    ss, st, tt = gram
    determinant = ss * tt - st * st
    if determinant <= 1e-9 * ss * tt:  # parallel gradients move along one line only
        x, y = direction
        along = (ss + abs(st), tt + abs(st)) if st >= 0 else (ss + abs(st), -tt - abs(st))
        return abs(x * along[1] - y * along[0]) < 1e-6 * math.hypot(*along) * math.hypot(x, y) and x * along[0] >= 0
    a = (tt * direction[0] - st * direction[1]) / determinant
    b = (ss * direction[1] - st * direction[0]) / determinant
    return a >= 0 and b >= 0


def path_sheet(paths: Sequence[ObjectivePath], results: Sequence[Result], config: PathConfig, title: str) -> Sheet:
    """The paths in the plane above the final pictures."""
    # an interrupt may come between a start and its measure
    shown = [(r, path) for r, path in zip(results, paths, strict=False) if path.points or r.failure]
    last = [r.pictures.get(0.0) if (tile := r.tile(1.0)) is None else tile for r, _ in shown]
    strip = labelled_grid([last], [""], [r.entry.label for r, _ in shown])
    image = stacked(path_chart([path for _, path in shown], title, max(720, strip.shape[2])), strip)
    numbers = [{**r.numbers(), "path": [p.numbers() for p in path.points]} for r, path in shown]
    settings = {"every": config.every, "t": list(config.t), "n_noises": config.n_noises, "seed": config.seed}
    return Sheet(image, {"title": title, **settings, "unit": "nats since the start", "cases": numbers})


def path_chart(paths: Sequence[ObjectivePath], title: str, width: int = 1000) -> Tensor:
    """Paths as lines, with a dot at each tenth of the run; rays at points of the last path.

    The coloured cone between two solid rays is reachable, the grey dashed directions are not.
    """
    paths = [path for path in paths if path.points]
    figure = new_figure(width, round(width * 0.85))
    axes = figure.add_subplot()
    size = points(width / 30)
    every = [p for path in paths for p in path.points]
    spans = [max(max(values) - min(values), 1e-6) for values in ([p.shape for p in every], [p.texture for p in every])]
    for i, path in enumerate(paths):
        x, y = [p.shape for p in path.points], [p.texture for p in path.points]
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(x, y, color=colour, linewidth=width / 220, label=path.label, zorder=3)
        tenths = [min(path.points, key=lambda p, k=k: abs(p.progress - k / 10)) for k in range(1, 11)]
        dots = [(p.shape, p.texture) for p in dict.fromkeys(tenths) if p.progress <= path.points[-1].progress]
        axes.scatter(*zip(*dots, strict=True), color=colour, s=(width / 130) ** 2, zorder=4)
    if paths:
        colour = COLOURS[(len(paths) - 1) % len(COLOURS)]
        for point in _spread(paths[-1].points, CONES):
            _rays(axes, point, spans, colour, width)
    axes.scatter([0], [0], color=INK, s=(width / 70) ** 2, zorder=6)
    axes.annotate("start", (0, 0), xytext=(0.6 * size, 0.6 * size), textcoords="offset points", fontsize=size * 0.9)
    axes.set_xlabel("shape objective \u2192", fontsize=size, color=INK)
    axes.set_ylabel("texture objective \u2192", fontsize=size, color=INK)
    axes.set_title(title, fontsize=size * 1.1, color=INK, parse_math=False)
    axes.margins(0.12)
    plain_axes(axes, size * 0.75)
    axes.locator_params(nbins=5)
    axes.plot([], [], color=colour if paths else INK, linewidth=width / 350, label="reachable")
    axes.plot([], [], color="#8a93a6", linewidth=width / 350, linestyle=(0, (2, 2)), label="unreachable")
    axes.legend(fontsize=size * 0.8, frameon=True, framealpha=0.85, edgecolor=GRID)
    return drawn(figure)


def _spread(found: Sequence[PathPoint], n: int) -> list[PathPoint]:
    """n points at equal distances along the path in steps, without its start and its end."""
    inner = list(found[1:-1]) or list(found)
    return [inner[round((k + 0.5) / n * (len(inner) - 1))] for k in range(min(n, len(inner)))]


def _rays(axes, point: PathPoint, spans: Sequence[float], colour: str, width: int) -> None:
    """The cone and rays around a point, all of one length on the sheet, which is not their length in nats."""
    radius, (ss, st, tt) = 0.1, point.gram

    def end(angle: float) -> tuple[float, float]:
        return point.shape + radius * spans[0] * math.cos(angle), point.texture + radius * spans[1] * math.sin(angle)

    for k in range(RAYS):
        angle = 2 * math.pi * k / RAYS
        if not reachable(point.gram, (spans[0] * math.cos(angle), spans[1] * math.sin(angle))):
            x, y = zip((point.shape, point.texture), end(angle), strict=True)
            axes.plot(x, y, color="#8a93a6", linewidth=width / 500, linestyle=(0, (2, 2)), zorder=2)
    # a step of the shape direction alone, and one of the texture direction alone
    first, last = (math.atan2(y / spans[1], x / spans[0]) for x, y in ((ss, st), (st, tt)))
    turn = (last - first + math.pi) % (2 * math.pi) - math.pi
    arc = [end(first + turn * k / 24) for k in range(25)]
    axes.fill(*zip((point.shape, point.texture), *arc, strict=True), color=colour, alpha=0.25, linewidth=0, zorder=2)
    for tip in (arc[0], arc[-1]):
        x, y = zip((point.shape, point.texture), tip, strict=True)
        axes.plot(x, y, color=colour, linewidth=width / 350, zorder=5)
