"""Pictures of the directions that methods are made of.

After Figure 2 of TBSD (arXiv:2511.11710), "Visualization of delta_post^gnp, delta_post^tnp, delta^cls and
delta_Bridge ... by decoding each delta with the VAE decoder". We do not have its formulas; the definitions here are

    delta_cls      = eps_target - eps_uncond
    delta_post^gnp = eps_target - eps_negative            (post = "target", the default)
    delta_post^tnp = eps_target - eps_target_negative
    delta_Bridge   = the gradient of Bridge at a progress, without w(t): SDS before its switch, then s delta_post

With post = "uncond" the two post directions begin at eps_uncond, the reading in which
delta_Bridge = s (delta_cls + delta_post) after the switch. With post = "target" Bridge after its switch is
s delta_post itself, so it deserves a picture of its own only before the switch.

All directions of a row share x_t, and each is the mean over a few draws of noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..grid import labelled_grid
from ..guidance import METHODS, directions
from ..guidance.base import Guidance, GuidanceInputs, TrainingGuidance, TrajectoryGuidance, has_source
from ..guidance.bridge import Bridge, BridgeConfig
from ..optim.guide import Batch, predict_and_guide
from ..optim.predictor import Predictor
from ..priors.base import Prior
from ..prompts import PromptSet
from ..rng import named_generator
from ..settings import check_settings, setting
from .sheet import Sheet

CONDITIONS = ("target", "uncond", "negative", "target_negative")
POSTS = ("target", "uncond")
CLS, GNP, TNP, BRIDGE = "delta_cls", "delta_post_gnp", "delta_post_tnp", "delta_bridge"
LABELS = {CLS: "\u03b4 cls", GNP: "\u03b4 post\nGNP", TNP: "\u03b4 post\nTNP", BRIDGE: "\u03b4\nBridge"}


@dataclass(frozen=True, kw_only=True)
class DirectionsConfig:
    # parts of the prior's schedule
    t: tuple[float, ...] = setting((0.2, 0.4, 0.6, 0.8), meaning="noise levels", at_least=0, at_most=1)
    progress: tuple[float, ...] = setting(
        (0.25,), meaning="moments of a run, for delta_bridge and the method", at_least=0, at_most=1
    )
    post: str = setting(
        "target", "The post directions are target minus negative, or uncond minus negative.", choices=POSTS
    )
    shown: str = setting(
        "decode",
        "decode: the direction itself through the VAE. change: how the picture changes by a step.",
        choices=("decode", "change"),  # SHOWN
    )
    n_noises: int = setting(
        4, "Number of noise draws that each direction is averaged over. More is calmer and slower.", at_least=1, high=64
    )
    seed: int = setting(0, meaning="of these draws")
    bridge: BridgeConfig = field(default_factory=BridgeConfig)  # its weighting is not used

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("t", "progress"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be one or more numbers in [0, 1], got none.")


@dataclass(frozen=True)
class DirectionRow:
    """The directions of one picture at one noise level.

    Args:
        picture: index of the picture.
        t: the noise level asked for; timestep: its index in the schedule.
        latents: [1, C, h, w], the clean latents of the picture.
        denoised: [1, C, h, w], the prior's estimate of the clean picture under the target, at the first draw.
        directions: [1, C, h, w] by name: delta_cls, delta_post_gnp, delta_post_tnp, then delta_bridge and the
            name of the method, each with "@progress" where there are several.
    """

    picture: int
    t: float
    timestep: int
    latents: Tensor
    denoised: Tensor
    directions: dict[str, Tensor]


@torch.no_grad()
def inspect_directions(
    prior: Prior,
    prompts: PromptSet,
    latents: Tensor,  # [B, C, h, w], clean latents of B pictures
    config: DirectionsConfig,
    guidance: Guidance | None = None,  # its gradient is one more direction, unless it trains a LoRA
    views: Sequence[str] | None = None,  # B view names; None if pictures have none
) -> Iterator[DirectionRow]:
    """The directions at each picture and noise level; B * len(config.t) rows.

    Raises:
        ValueError: the prompts lack one of the four conditions; says what adds it.
    """
    if guidance is not None:
        check_inspected(guidance)
    n = config.n_noises
    bridge = Bridge(replace(config.bridge, weighting="uniform"))
    own = next((name for name, spec in METHODS.items() if type(guidance) is spec.method), type(guidance).__name__)
    for i, clean in enumerate(latents.split(1)):
        for level in config.t:
            timestep = round(level * (prior.schedule.n_timesteps - 1))
            t = torch.full((n,), timestep, device=clean.device)
            noise = torch.randn(n, *clean.shape[1:], generator=named_generator(config.seed, "inspect", timestep))
            noise = noise.to(clean.device)
            x_t = prior.schedule.add_noise(clean.expand_as(noise), noise, t)
            view = [views[i] if views else ""] * n
            predicted = prior.predict_noise(x_t, t, [prompts.select(name, view) for name in CONDITIONS])
            eps: dict[str, Tensor] = dict(zip(CONDITIONS, predicted, strict=True))
            start = eps[config.post]
            found = {
                CLS: directions.delta_cls(eps["target"], eps["uncond"]),
                GNP: start - eps["negative"],
                TNP: start - eps["target_negative"],
            }
            a_bar = prior.schedule.at(t)
            for progress in config.progress:
                at = f"@{progress:g}" if len(config.progress) > 1 else ""
                inputs = GuidanceInputs(eps, noise, a_bar, t, progress, prior.schedule.n_timesteps)
                found[BRIDGE + at] = bridge(inputs).grad
                if isinstance(guidance, TrajectoryGuidance):  # it finds an x_t of its own
                    ask, batch = Predictor(prior, prompts, view), Batch(clean.expand_as(noise), t, noise)
                    found[own + at] = predict_and_guide(guidance, ask, batch, progress).out.grad
                elif guidance is not None and not isinstance(guidance, TrainingGuidance):
                    found[own + at] = guidance(inputs).grad
            denoised = prior.schedule.denoise(x_t[:1], eps["target"][:1], t[:1])
            means = {name: d.mean(0, keepdim=True) for name, d in found.items()}
            yield DirectionRow(i, level, timestep, clean, denoised, means)


def check_inspected(guidance: Guidance) -> None:
    """Raise ValueError for a method whose direction a picture alone does not have."""
    if has_source(guidance):
        raise ValueError(
            f"{type(guidance).__name__} compares with a source, but a single picture has none. Choose a method that "
            "does not edit, such as TBSD."
        )


def decoded(decode: Callable[[Tensor], Tensor], direction: Tensor, latents: Tensor) -> Tensor:
    """The decoded direction, scaled to the RMS of the latents so that it stays in the decoder's range."""
    return decode(direction * (_rms(latents) / _rms(direction).clamp_min(1e-12)))


def change(decode: Callable[[Tensor], Tensor], direction: Tensor, latents: Tensor, step: float = 0.25) -> Tensor:
    """The change of the picture after a step against the direction, around mid grey, at full contrast.

    The step is a quarter of the latents' RMS; descending on a method goes against its direction.
    """
    moved = latents - direction * (step * _rms(latents) / _rms(direction).clamp_min(1e-12))
    difference = decode(moved) - decode(latents)
    return (0.5 + 0.5 * difference / difference.abs().amax().clamp_min(1e-6)).clamp(0, 1)


SHOWN: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]] = {
    "decode": decoded,  # as the figure's caption says
    "change": change,
}


@torch.no_grad()
def directions_sheet(rows: Sequence[DirectionRow], prior: Prior, config: DirectionsConfig, title: str) -> Sheet:
    """Rows of noise levels, columns of directions; under each its length, and its cosine with delta_cls."""
    names = list(rows[0].directions)
    show = SHOWN[config.shown]
    images, labels, captions, numbers = [], [], [], []
    several = rows[-1].picture > 0
    for row in rows:
        images.append([prior.decode(row.denoised)[0].cpu()])
        images[-1] += [show(prior.decode, row.directions[name], row.latents)[0].cpu() for name in names]
        norms = {name: float(directions.norm(d)) for name, d in row.directions.items()}
        cosines = {a: {b: float(directions.cosine(row.directions[a], row.directions[b])) for b in names} for a in names}
        labels.append(f"{row.t:g}" + (f"\n#{row.picture + 1}" if several else ""))
        captions.append(["", *(f"|\u03b4| {_short(norms[n])}\ncos {cosines[CLS][n]:.2f}" for n in names)])
        numbers.append({"picture": row.picture, "t": row.t, "timestep": row.timestep, "norm": norms, "cosine": cosines})
    columns = ["denoised", *(_label(name) for name in names)]
    image = labelled_grid(images, labels, columns, title, captions, row_axis="t")
    settings = {"post": config.post, "shown": config.shown, "n_noises": config.n_noises, "seed": config.seed}
    return Sheet(image, {"title": title, **settings, "progress": list(config.progress), "rows": numbers})


def _label(name: str) -> str:
    base, at, progress = name.partition("@")
    return LABELS.get(base, base.upper()) + (f"\nat {progress}" if at else "")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _rms(x: Tensor) -> Tensor:
    return x.float().pow(2).mean().sqrt()
