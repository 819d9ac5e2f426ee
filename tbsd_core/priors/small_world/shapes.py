"""The objects of the small world as signed distance functions (negative inside).

Each function maps points [N, 3] to distances [N]; all objects fit into the unit ball. Distances
are exact or a lower bound, so sphere tracing never steps through a surface. A new object is one
function and one line in SHAPES.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _extrude(inside_2d: Tensor, inside_1d: Tensor) -> Tensor:
    """Exact distance of an intersection of two perpendicular slabs, from their signed distances."""
    d = torch.stack([inside_2d, inside_1d], -1)
    return d.clamp(min=0).norm(dim=-1) + d.amax(-1).clamp(max=0)


def _box(p: Tensor, half: tuple[float, float, float]) -> Tensor:
    q = p.abs() - torch.tensor(half, dtype=p.dtype, device=p.device)
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0)


def cube(p: Tensor) -> Tensor:
    return _box(p, (0.47, 0.47, 0.47))


def sphere(p: Tensor) -> Tensor:
    return p.norm(dim=-1) - 0.66


def cone(p: Tensor) -> Tensor:
    height, radius, base = 1.3, 0.66, -0.62
    q, y = p[:, [0, 2]].norm(dim=-1), p[:, 1] - base
    side = (q * height + (y - height) * radius) / math.hypot(height, radius)
    return torch.maximum(side, -y)


def cylinder(p: Tensor) -> Tensor:
    return _extrude(p[:, [0, 2]].norm(dim=-1) - 0.44, p[:, 1].abs() - 0.6)


def torus(p: Tensor) -> Tensor:
    """A standing ring: its hole faces the front."""
    q = p[:, [0, 1]].norm(dim=-1) - 0.48
    return torch.hypot(q, p[:, 2]) - 0.21


def crystal(p: Tensor) -> Tensor:
    a = p.abs()
    return (a[:, 0] + 0.8 * a[:, 1] + a[:, 2] - 0.72) / math.sqrt(2.64)


def house(p: Tensor) -> Tensor:
    """Walls and a gable roof whose ridge runs front to back, so that the front shows the gable."""
    x, y, z = p.unbind(-1)
    walls = _box(p - torch.tensor([0.0, -0.28, 0.0], dtype=p.dtype, device=p.device), (0.5, 0.34, 0.42))
    roof = torch.maximum(torch.maximum((x.abs() * 0.75 + (y - 0.62)) / 1.25, z.abs() - 0.5), -(y - 0.04))
    return torch.minimum(walls, roof)


def mushroom(p: Tensor) -> Tensor:
    q, y = p[:, [0, 2]].norm(dim=-1), p[:, 1]
    # an ellipsoid's implicit function, scaled by its smaller radius: a lower bound of the distance
    cap = torch.maximum((torch.sqrt((q / 0.68) ** 2 + ((y - 0.05) / 0.55) ** 2 + 1e-9) - 1) * 0.55, -y)
    return torch.minimum(cap, _extrude(q - 0.2, (y + 0.33).abs() - 0.36))


SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "cube": cube,
    "sphere": sphere,
    "cone": cone,
    "cylinder": cylinder,
    "torus": torus,
    "crystal": crystal,
    "house": house,
    "mushroom": mushroom,
}


def normals(shape: str, p: Tensor, step: float = 1e-3) -> Tensor:
    """Unit outward normals [N, 3] by central differences of the distance."""
    sdf = SHAPES[shape]
    offsets = torch.eye(3, dtype=p.dtype, device=p.device) * step
    grad = torch.stack([sdf(p + e) - sdf(p - e) for e in offsets], -1)
    return torch.nn.functional.normalize(grad, dim=-1)
