"""The exact score of the small world: its empirical distribution is a known Gaussian mixture.

Every rendered image x_i is the centre of a narrow Gaussian, so the noised density and its score
have a closed form: no network, no training error. It is the oracle of the identity metric, and a
second prior to distil from. A caption reweights the images by Bayes' rule with a soft caption model:
an image that contradicts a word keeps a small `leak` of its weight.

    p_i(x_t, c) = softmax_i( log w_i(c) - |x_t - alpha_t x_i|^2 / 2v ),  v = alpha_t^2 tau^2 + sigma_t^2
    E[x_0|x_t,c] = sum_i p_i (x_i + g (x_t - alpha_t x_i)),              g = alpha_t tau^2 / v
    eps = (x_t - alpha_t E[x_0|x_t,c]) / sigma_t
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import Condition
from ..schedule import scaled_linear
from .captions import parse
from .dataset import Label
from .degrade import DEGRADATIONS, degrade
from .materials import MATERIALS
from .shapes import SHAPES
from .world import render_materials, view_cameras, view_of


@dataclass(frozen=True, kw_only=True)
class ExactConfig:
    size: int = 32  # pixels of the stored images; other sizes are resampled on encode
    n_azimuth: int = 24
    elevations: tuple[float, ...] = (10.0, 30.0)  # degrees
    faults_per_view: int = 2  # degraded copies of each clean image
    tau: float = 0.05  # standard deviation of each component, in latent units (2 x pixel values)
    clean_share: float = 0.5  # prior probability that an image is clean
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tau <= 0:
            raise ValueError(f"tau must be > 0, got {self.tau}.")
        if not 0 < self.clean_share < 1:
            raise ValueError(f"clean_share must be in (0, 1), got {self.clean_share}.")


# (probability that a true word is said, that a false one is said): soft, so no word is absolute
CAPTION_MODEL = {"shape": (0.95, 0.01), "material": (0.95, 0.02), "view": (0.70, 0.08), "quality": (0.50, 0.01)}


class ExactPrior:
    """Closed-form noise predictions of the small world's images; conditions are log weights [N]."""

    def __init__(self, config: ExactConfig | None = None, device: str = "cpu") -> None:
        self.config = config or ExactConfig()
        self.schedule = scaled_linear()
        self.spatial_factor = 1
        self.latent_channels = 3
        images, self.labels = _render(self.config)
        images = images.to(device)
        self._mean = images.mean((0, 2, 3)).view(1, 3, 1, 1)
        self._x = ((images - self._mean) * 2).flatten(1)  # [N, D]
        self._square = (self._x**2).sum(-1)
        self._columns = {
            "shape": [label.shape for label in self.labels],
            "material": [label.material for label in self.labels],
            "view": [label.view for label in self.labels],
        }

    def encode_prompt(self, text: str) -> Condition:
        """Normalised log weights [N] of the images under a prompt. Raises ValueError on unknown words."""
        caption = parse(text)
        log_w = self._log_prior()
        for key, named in (("shape", caption.shapes), ("material", caption.materials), ("view", caption.views)):
            if named:
                said, leak = CAPTION_MODEL[key]
                match = torch.tensor([value in named for value in self._columns[key]])
                log_w = log_w + torch.where(match, math.log(said), math.log(leak))
        said, leak = CAPTION_MODEL["quality"]
        clean = torch.tensor([not label.degradations for label in self.labels])
        if caption.degradations:
            match = torch.tensor([bool(set(label.degradations) & set(caption.degradations)) for label in self.labels])
            log_w = log_w + torch.where(match, math.log(said), math.log(leak))
        elif caption.quality:
            log_w = log_w + torch.where(clean, 0.0, math.log(leak))
        elif text.strip():
            log_w = log_w + torch.where(clean, 0.0, math.log(1 - said))  # a fault is often mentioned
        return (log_w - log_w.logsumexp(0)).to(self._x.device)

    @torch.no_grad()
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Sequence[Sequence[Condition]]) -> list[Tensor]:
        if x_t.shape[1:] != (3, self.config.size, self.config.size):
            size = self.config.size
            raise ValueError(
                f"The exact prior works on latents [B, 3, {size}, {size}], got {tuple(x_t.shape)}. Set size to {size}."
            )
        a_bar = self.schedule.at(t)[:, None]
        alpha_t, sigma_t = a_bar.sqrt(), (1 - a_bar).sqrt()
        var = a_bar * self.config.tau**2 + sigma_t**2
        x = x_t.flatten(1)
        # the squared distance, without its part that is the same for all images
        energy = (alpha_t / var) * (x @ self._x.T) - (a_bar / (2 * var)) * self._square
        k = len(conditions)
        log_w = torch.stack([c for condition in conditions for c in condition])
        mean = torch.softmax(energy.repeat(k, 1) + log_w, -1) @ self._x
        x, alpha_t, sigma_t, var = (v.repeat(k, 1) for v in (x, alpha_t, sigma_t, var))
        denoised = mean + alpha_t * self.config.tau**2 / var * (x - alpha_t * mean)
        return list(((x - alpha_t * denoised) / sigma_t).view(k, *x_t.shape))

    def encode(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != (self.config.size, self.config.size):
            images = F.interpolate(images, (self.config.size,) * 2, mode="area")
        return (images.to(self._mean.device) - self._mean) * 2

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return (latents.to(self._mean.device) / 2 + self._mean).clamp(0, 1)

    def posterior(self, images: Tensor, sigma: float = 0.25) -> Tensor:
        """p(image i | x) [B, N] for images [B, 3, H, W] seen through noise of std `sigma` (latent units).

        Every stored image counts alike except that the clean ones share `clean_share` of the mass.
        """
        z = self.encode(images).flatten(1)
        log_p = (z @ self._x.T - self._square / 2) / (sigma**2)
        return torch.softmax(log_p + self._log_prior().to(log_p.device), -1)

    def _log_prior(self) -> Tensor:
        clean = torch.tensor([not label.degradations for label in self.labels])
        n_clean, share = int(clean.sum()), self.config.clean_share
        n_bad = max(1, len(clean) - n_clean)
        return torch.where(clean, math.log(share / n_clean), math.log((1 - share) / n_bad))


@lru_cache(maxsize=1)  # seconds, and each prior of a process wants the same
@torch.no_grad()
def _render(config: ExactConfig) -> tuple[Tensor, list[Label]]:
    """The mixture's centres [N, 3, size, size] and their labels: a grid of views, clean and degraded. Not to be changed
    in place."""
    generator = torch.Generator().manual_seed(config.seed)
    azimuth = torch.arange(config.n_azimuth) * (360 / config.n_azimuth)
    grid_a, grid_e = (g.flatten() for g in torch.meshgrid(azimuth, torch.tensor(config.elevations), indexing="ij"))
    views = [view_of(float(a), float(e)) for a, e in zip(grid_a, grid_e, strict=True)]
    faults = list(DEGRADATIONS)
    images: list[Tensor] = []
    labels: list[Label] = []
    for shape in SHAPES:
        rendered, _, _ = render_materials(shape, list(MATERIALS), view_cameras(grid_a, grid_e), config.size)
        for material, clean in zip(MATERIALS, rendered, strict=True):
            images.append(clean)
            labels += [Label(shape, material, view, ()) for view in views]
            for copy in range(config.faults_per_view):
                for i, view in enumerate(views):
                    name = faults[(i + copy * len(faults) // max(1, config.faults_per_view)) % len(faults)]
                    images.append(degrade(clean[i : i + 1], (name,), 0.5, generator))
                    labels.append(Label(shape, material, view, (name,)))
    return torch.cat(images), labels
