"""Plain samples of a prior: to see what it knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..base import Condition, Hinted, Viewed


@torch.no_grad()
def sample_ddim(
    prior,
    prompts: Sequence[str],
    guidance_scale: float = 3.0,
    n_steps: int = 30,
    seed: int = 0,
    negative_prompt: str = "",
    latent_size: int = 16,
    hints: Tensor | None = None,  # [B, 3, H, W] in [0, 1], what a ControlNet of the prior is shown
    angles: Sequence[tuple[float, float]] | None = None,  # B cameras in degrees, for a prior of groups of views
) -> Tensor:
    """Plain DDIM samples of any TextPrior, one image [B, 3, H, W] per prompt: to see what a prior knows.

    Classifier-free guidance eps_uncond + guidance_scale (eps_cond - eps_uncond), arXiv:2207.12598.
    """
    generator = torch.Generator().manual_seed(seed)
    schedule = prior.schedule
    x = torch.randn(len(prompts), prior.latent_channels, latent_size, latent_size, generator=generator)
    cond: list[Condition] = [prior.encode_prompt(p) for p in prompts]
    uncond: list[Condition] = [prior.encode_prompt(negative_prompt)] * len(prompts)
    if hints is not None:
        cond, uncond = ([Hinted(c, h) for c, h in zip(row, hints, strict=True)] for row in (cond, uncond))
    if angles is not None:
        cond, uncond = ([Viewed(c, *a) for c, a in zip(row, angles, strict=True)] for row in (cond, uncond))
    times = torch.linspace(schedule.n_timesteps - 1, 0, n_steps + 1).round().long()
    denoised = x
    for now, then in zip(times[:-1], times[1:], strict=True):
        t = now.expand(len(prompts))
        eps_cond, eps_uncond = prior.predict_noise(x, t, [cond, uncond])
        eps = eps_uncond + guidance_scale * (eps_cond - eps_uncond)
        denoised = schedule.denoise(x, eps, t)
        x = schedule.add_noise(denoised, eps, then.expand(len(prompts)))
    return prior.decode(denoised)
