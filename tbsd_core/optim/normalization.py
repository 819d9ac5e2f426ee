"""What the gradient of a method is divided by, so that regularisers keep their weight beside it.

By its RMS, a noisy gradient leaves less room for what all draws agree on: k times as much noise as signal, and every
regulariser weighs k times as much, though the signal is the same. By its signal it does not. Noise of the draw is
white, or nearly, over latent cells; what a gradient says of an object is not, so the covariance of neighbouring cells
is that of the signal alone. Its share of the whole, averaged over about 1 / (1 - MEMORY) steps, is what `signal` goes
by (ours). Over the steps of Adam it could not be told: the moments of a run on the small world show a share of .03 and
less even without added noise, since each step has other cameras and timesteps.
"""

from __future__ import annotations

import torch
from torch import Tensor

NORMALIZATIONS = ("rms", "signal", "none")
MEMORY = 0.99
# of gradients without added noise on the small world .33 in the first and .10 in the last steps of a NeRF: the weights
# of regularisers that were chosen with "rms" mean the same with "signal" there
CLEAN_SHARE = 0.2
LEAST_SHARE = 1e-3  # below it the estimate is made of noise


def neighbour_moments(grad: Tensor) -> Tensor:
    """Of a gradient [B, C, h, w] its mean square and the mean product of cells side by side: [2]."""
    across, down = grad[..., 1:] * grad[..., :-1], grad[..., 1:, :] * grad[..., :-1, :]
    return torch.stack([grad.square().mean(), (across.mean() + down.mean()) / 2])


def remembered(moments: Tensor, known: Tensor | None) -> Tensor:
    """Running sums [2] with the moments [2] of one more step, unless these are not finite; None: the first step."""
    known = torch.zeros_like(moments) if known is None else known
    return torch.where(moments.isfinite().all(), torch.lerp(moments, known, MEMORY), known)


def signal_part(sums: Tensor) -> Tensor:
    """How much smaller than its RMS the signal of a gradient is, next to that of a clean one: [] from its running sums.

    About 1 on the small world, and 1 / sqrt(1 + k^2) of that with white noise of k times the RMS.
    """
    square, product = sums
    return ((product / square.clamp_min(1e-30)).clamp(LEAST_SHARE, 1.0) / CLEAN_SHARE).sqrt()
