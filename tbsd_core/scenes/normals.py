"""Surface directions of a density field."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def density_normals(
    density: Callable[[Tensor], Tensor],  # [N, 3] -> [N]
    points: Tensor,  # [N, 3]
    step: float,  # world units; about one cell of the field, since it is piecewise linear below that
) -> Tensor:
    """Unit vectors [N, 3] against the density's gradient, by central differences; 0 where it is flat."""
    offsets = torch.eye(3, dtype=points.dtype, device=points.device) * step
    stencil = torch.cat([points + e for e in offsets] + [points - e for e in offsets])
    ahead, behind = density(stencil).view(2, 3, -1)
    return F.normalize(behind - ahead, dim=0).T
