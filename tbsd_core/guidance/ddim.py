"""Deterministic steps along the trajectory of a diffusion model, DDIM (arXiv:2010.02502), up as well as down."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..priors.schedule import NoiseSchedule
from ..transfer import all_to_device


def ddim_step(
    x: Tensor,  # [B, C, h, w] at alphas_cumprod
    eps: Tensor,  # [B, C, h, w], predicted there
    alphas_cumprod: Tensor,  # [B], in (0, 1]
    alphas_cumprod_next: Tensor,  # [B], in (0, 1]
) -> Tensor:
    """x at another noise level, [B, C, h, w]: DDIM Eq. 13, in either direction.

    x_0 = (x - sigma eps) / alpha;   x_next = alpha_next x_0 + sigma_next eps
    """
    a, b = alphas_cumprod.view(-1, 1, 1, 1), alphas_cumprod_next.view(-1, 1, 1, 1)
    denoised = (x - (1 - a).sqrt() * eps) / a.sqrt()
    return b.sqrt() * denoised + (1 - b).sqrt() * eps


def ddim_sigma(
    alphas_cumprod: Tensor,  # [B], of the less noisy level
    alphas_cumprod_next: Tensor,  # [B], of the noisier one
) -> Tensor:
    """Standard deviation [B, 1, 1, 1] of the noise that DDIM adds between two levels at eta = 1, DDIM Eq. 16."""
    a, b = alphas_cumprod, alphas_cumprod_next
    return ((1 - a) / (1 - b) * (1 - b / a)).clamp_min(0).sqrt().view(-1, 1, 1, 1)


def walk_up(
    x: Tensor,  # [B, C, h, w] at the timesteps `start`
    start: Tensor,  # [B] long, on the host: it decides what is evaluated
    end: Tensor,  # [B] long, >= start, on the host
    stride: int,  # timesteps per step, >= 1; the last step of a sample may be shorter
    schedule: NoiseSchedule,
    predict: Callable[[Tensor, Tensor, Tensor], Tensor],  # (x [n, C, h, w], t [n], samples [n]) to eps [n, C, h, w]
    drawn: Tensor | None = None,  # [n_steps, B, C, h, w], noise to add at each step: eta times standard normal
) -> Tensor:
    """x at the timesteps `end`, [B, C, h, w], by DDIM steps towards more noise.

    Samples walk beside each other, each from its own start to its own end; one that has arrived is not
    evaluated any more. So a sample costs ceil((end - start) / stride) predictions. The samples that
    `predict` is given are on the host.
    """
    ways = []
    now = start
    while bool((now < end).any()):
        samples = (now < end).nonzero().flatten()
        then = torch.minimum(now[samples] + stride, end[samples])
        ways.append((samples, now[samples], then))
        now = now.index_put((samples,), then)
    if not ways:
        return x.clone()
    uploaded = iter(all_to_device([part for way in ways for part in way], x.device))
    for step, (samples, *_) in enumerate(ways):
        rows, t, then = next(uploaded), next(uploaded), next(uploaded)
        whole = len(samples) == len(x)
        part = x if whole else x[rows]
        a_bar, a_bar_next = schedule.at(t), schedule.at(then)
        moved = ddim_step(part, predict(part, t, samples), a_bar, a_bar_next)
        if drawn is not None:
            moved = moved + ddim_sigma(a_bar, a_bar_next) * (drawn[step] if whole else drawn[step][rows])
        x = moved if whole else x.index_put((rows,), moved)
    return x


def n_steps_up(start: Tensor, end: Tensor, stride: int) -> Tensor:
    """Steps [B] that `walk_up` takes for each sample."""
    return (end - start + stride - 1).clamp_min(0) // stride
