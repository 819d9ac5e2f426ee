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
    beyond = radius * radius - rays_o.square().sum(-1)
    root = torch.addcmul(beyond, b, b).clamp(min=0).sqrt()
    near = (b + root).clamp(max=0).neg()
    return near, torch.maximum(root - b, near)


def sample_intervals(
    near: Tensor,  # [R]
    far: Tensor,  # [R]
    n_samples: int,
    radius: float,
    u: Tensor | None = None,  # [R, n_samples] in [0, 1)
) -> tuple[Tensor, Tensor]:
    """Cut rays into intervals of one length, 2 radius / n_samples, and pick one point in each.

    One length for all rays (instead of n_samples on each) leaves the intervals beyond a short chord
    empty, so rays near the rim of the sphere cost less and every point is sampled equally finely.

    Args:
        u: where the points lie in their intervals; None takes the midpoints.

    Returns:
        t [R, S], where the points lie, and delta [R, S], the lengths of the intervals; one of length 0 holds nothing.
    """
    offsets = torch.linspace(0, 2 * radius, n_samples + 1, dtype=near.dtype, device=near.device)
    edges = torch.minimum(near[:, None] + offsets, far[:, None])
    t_starts, t_ends = edges[:, :-1], edges[:, 1:]
    return torch.lerp(t_starts, t_ends, 0.5 if u is None else u), t_ends - t_starts
