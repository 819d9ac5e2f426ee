"""The number that divides the gradient of a method, so that regularisers keep their weight beside it.

Division by the RMS leaves a noisy gradient less room for the part that all draws agree on: with k times as much noise
as signal, every regulariser weighs k times as much, though the signal is the same. Division by the signal avoids this.
The noise of a draw is nearly white over latent cells and the gradient of an object is not, so the covariance of
neighbouring cells comes from the signal alone. `signal` uses its share of the whole, averaged over about 1 / (1 -
MEMORY) steps (ours). Adam's moments could not show it: in a run on the small world they have a share of .03 and less
even without added noise, since each step has other cameras and timesteps.
"""

from __future__ import annotations

import torch
from torch import Tensor

NORMALIZATIONS = ("rms", "signal", "none")
MEMORY = 0.99
# of gradients without added noise on the small world .33 in the first and .10 in the last steps of a NeRF: the weights
# of regularisers that were chosen with "rms" mean the same with "signal" there
CLEAN_SHARE = 0.2
LEAST_SHARE = 1e-3  # below it the estimate is noise


def neighbour_moments(grad: Tensor) -> Tensor:
    """The mean square of a gradient [B, C, h, w] and the mean product of neighbouring cells: [2]."""
    across, down = grad[..., 1:] * grad[..., :-1], grad[..., 1:, :] * grad[..., :-1, :]
    n = across.numel() + down.numel()
    # views are square; one cell alone has no neighbours, and counts as signal
    product = (across.sum() + down.sum()) / n if n else grad.square().mean()
    return torch.stack([grad.square().mean(), product])


def remembered(moments: Tensor, known: Tensor | None) -> Tensor:
    """Running sums [2] with the moments [2] of one more step, unless these are not finite; None: the first step."""
    known = torch.zeros_like(moments) if known is None else known
    return torch.where(moments.isfinite().all(), torch.lerp(moments, known, MEMORY), known)


def signal_part(sums: Tensor) -> Tensor:
    """How much smaller than its RMS the signal of a gradient is, relative to a clean one: [] from its running sums.

    About 1 on the small world; white noise of k times the RMS multiplies it by 1 / sqrt(1 + k^2).
    """
    square, product = sums
    return ((product / square.clamp_min(1e-30)).clamp(LEAST_SHARE, 1.0) / CLEAN_SHARE).sqrt()
