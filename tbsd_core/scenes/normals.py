"""Surface directions of a density field."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

NORMALS = ("finite", "analytic")


def density_normals(
    density: Callable[[Tensor], Tensor],  # [N, 3] -> [N]
    points: Tensor,  # [N, 3]
    step: float,  # world units; about one cell of the field, since it is piecewise linear below that
) -> Tensor:
    """Unit vectors [N, 3] against the density's gradient, by central differences; 0 where it is flat.

    Differentiable in the field's parameters, at six queries for each point.
    """
    offsets = torch.eye(3, dtype=points.dtype, device=points.device) * step
    stencil = points + torch.stack([offsets, -offsets])[:, :, None]  # [2, 3, N, 3]
    ahead, behind = density(stencil.view(-1, 3)).view(2, 3, -1)
    return F.normalize(behind - ahead, dim=0).T


def analytic_normals(
    density: Callable[[Tensor], Tensor],  # [N, 3] -> [N]
    points: Tensor,  # [N, 3]
) -> Tensor:
    """The same by automatic differentiation: exact, one query, and differentiable where the field is twice.

    Fields that torch's grid_sample reads are not: it has no second derivative.
    """
    track = torch.is_grad_enabled()
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(density(points).sum(), points, create_graph=track)
    return F.normalize(-gradient, dim=-1)
