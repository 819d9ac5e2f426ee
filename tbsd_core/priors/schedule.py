"""Noise schedules. Timestep index 0 is the least noise, n_timesteps - 1 the most."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..transfer import Table


@dataclass(frozen=True)
class NoiseSchedule:
    """Cumulative signal fractions of a variance-preserving diffusion.

    Args:
        alphas_cumprod: [T], strictly decreasing, in (0, 1): alpha_t^2 = alphas_cumprod[t].
    """

    alphas_cumprod: Tensor
    _table: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        a = self.alphas_cumprod
        if a.ndim != 1 or len(a) < 2 or not bool(((a > 0) & (a < 1)).all()) or not bool((a.diff() < 0).all()):
            raise ValueError(
                "alphas_cumprod must be a strictly decreasing vector in (0, 1), got shape "
                f"{tuple(a.shape)} with range [{float(a.min()):.4g}, {float(a.max()):.4g}]."
            )
        object.__setattr__(self, "_table", Table(a))

    @property
    def n_timesteps(self) -> int:
        return len(self.alphas_cumprod)

    def at(self, t: Tensor) -> Tensor:
        """alphas_cumprod [B] of timesteps [B], on their device."""
        return self._table.on(t.device)[t]

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t of timesteps [B] as [B, 1, 1, 1], ready to multiply latents."""
        a_bar = self.at(t).view(-1, 1, 1, 1)
        return a_bar.sqrt(), (1 - a_bar).sqrt()

    def add_noise(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = alpha_t x_0 + sigma_t noise, [B, C, h, w], for timesteps [B]."""
        alpha_t, sigma_t = self.alpha_sigma(t)
        return alpha_t * x_0 + sigma_t * noise

    def denoise(self, x_t: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """The clean latents that a noise prediction stands for: (x_t - sigma_t eps) / alpha_t."""
        alpha_t, sigma_t = self.alpha_sigma(t)
        return (x_t - sigma_t * eps) / alpha_t

    def noise_of_velocity(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        """The noise that a prediction of v = alpha_t noise - sigma_t x_0 stands for (arXiv:2202.00512)."""
        alpha_t, sigma_t = self.alpha_sigma(t)
        return alpha_t * v + sigma_t * x_t


def scaled_linear(
    n_timesteps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> NoiseSchedule:
    """Stable Diffusion's schedule: betas linear in their square roots."""
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, n_timesteps, dtype=torch.float64) ** 2
    return NoiseSchedule(torch.cumprod(1 - betas, 0).float())


def of_flow(sigmas: Tensor) -> NoiseSchedule:
    """The schedule with the signal-to-noise ratios of a flow x = (1 - sigma) x_0 + sigma noise.

    Args:
        sigmas: [T], increasing, in (0, 1).
    """
    s = sigmas.double()
    return NoiseSchedule(((1 - s) ** 2 / ((1 - s) ** 2 + s**2)).float())
