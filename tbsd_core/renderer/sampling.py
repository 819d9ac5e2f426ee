"""Samples along rays, only where the scene can be: inside its bounding sphere."""

from __future__ import annotations

import torch
from torch import Tensor


def sphere_interval(
    rays_o: Tensor,  # [R, 3]
    rays_d: Tensor,  # [R, 3] unit vectors
    radius: float,
) -> tuple[Tensor, Tensor]:
    """Distances [R] at which rays enter and leave the sphere around the origin; equal where they miss it.

    A ray that starts inside enters at 0.
    """
    b = (rays_o * rays_d).sum(-1)
    disc = b * b - (rays_o * rays_o).sum(-1) + radius * radius
    root = disc.clamp(min=0).sqrt()
    near = (-b - root).clamp(min=0)
    return near, torch.maximum(-b + root, near)


def sample_intervals(
    near: Tensor,  # [R]
    far: Tensor,  # [R]
    n_samples: int,
    radius: float,
    u: Tensor | None = None,  # [R, n_samples] in [0, 1)
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut rays into intervals of one length, 2 radius / n_samples, and pick one point in each.

    One length for all rays (instead of n_samples on each) leaves the intervals beyond a short chord
    empty, so rays near the rim of the sphere cost less and every point is sampled equally finely.

    Args:
        u: where the points lie in their intervals; None takes the midpoints.

    Returns:
        t_starts, t_ends, t [R, S]; an interval with t_starts == t_ends holds nothing.
    """
    step = 2 * radius / n_samples
    index = torch.arange(n_samples, dtype=near.dtype, device=near.device)
    t_starts = torch.minimum(near[:, None] + index * step, far[:, None])
    t_ends = torch.minimum(t_starts + step, far[:, None])
    if u is None:
        return t_starts, t_ends, (t_starts + t_ends) / 2
    return t_starts, t_ends, torch.lerp(t_starts, t_ends, u)
