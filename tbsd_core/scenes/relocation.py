"""Densification at a fixed number of Gaussians: 3DGS as Markov chain Monte Carlo, arXiv:2404.09591.

Gaussians that have faded are moved onto opaque ones, which then share their place so that the picture stays
what it was. Tensors keep their shapes, and with them the optimiser and checkpoints.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..transfer import double_device

MAX_SHARE = 51  # Gaussians at one place for which Eq. 9 is evaluated, as in the authors' code


def shared_opacity_and_scale(
    opacities: Tensor,  # [N] in (0, 1)
    counts: Tensor,  # [N] integers >= 1: how many Gaussians will stand where one stood
) -> tuple[Tensor, Tensor]:
    """Opacity [N] of each of the equal Gaussians and the factor [N] on their scales; arXiv:2404.09591, Eq. 9.

    n of them let through what the one did at its centre, 1 - (1 - o)^(1/n) each, and a line through the
    centre integrates to the same sum:
    factor = o / sum_{i=1..n} sum_{k=0..i-1} binomial(i-1, k) (-1)^k new^(k+1) / sqrt(k+1).
    """
    # summed over i first: sum_{i=k+1..n} binomial(i-1, k) = binomial(n, k+1)
    wide = double_device(opacities.device)
    counts = counts.to(wide).clamp(1, MAX_SHARE)
    o = opacities.to(wide).double()
    new = 1 - (1 - o) ** (1 / counts)
    n_max = int(counts.max()) if len(counts) else 1
    table = [
        [math.comb(n, k + 1) * (-1.0) ** k / math.sqrt(k + 1) for k in range(n_max)] for n in range(n_max + 1)
    ]
    coefficients = torch.tensor(table, dtype=torch.float64, device=wide)[counts]
    powers = new[:, None] ** torch.arange(1, n_max + 1, device=o.device)
    factor = o / (coefficients * powers).sum(-1)
    return new.to(opacities.dtype).to(opacities.device), factor.to(opacities.dtype).to(opacities.device)


def draw_targets(
    opacities: Tensor,  # [N] in (0, 1)
    dead: Tensor,  # [N] bool
    generator: torch.Generator,
) -> Tensor:
    """For each dead Gaussian the index of a live one [number of dead], drawn in proportion to opacity."""
    weights = torch.where(dead, 0.0, opacities).cpu().double()
    edges = weights.cumsum(0)
    drawn = torch.rand(int(dead.sum()), generator=generator, dtype=torch.float64) * edges[-1]
    last = int(weights.nonzero()[-1])
    return torch.searchsorted(edges, drawn, right=True).clamp(max=last).to(opacities.device)


def clear_moments(optimizer: torch.optim.Optimizer, parameter: Tensor, rows: Tensor) -> None:
    """Forget the optimiser's moments for some rows of a parameter."""
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value[rows] = 0
