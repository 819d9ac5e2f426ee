"""Surface colours of the small world: albedo as a function of position, normal and object.

Textures have a fixed phase, so every object has one true answer in 3D. The house keeps a slate
roof and a front door, the mushroom a cream stem: they tell its sides apart and make it pleasant.
A new material is one function (u, v, p) -> colours [N, 3] in [0, 1] and one line in MATERIALS.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _rgb(like: Tensor, r: float, g: float, b: float) -> Tensor:
    return torch.tensor([r, g, b], dtype=like.dtype, device=like.device)


def _mix(mask: Tensor, on: Tensor, off: Tensor) -> Tensor:
    return mask[:, None] * on + (1 - mask[:, None]) * off


def brick(u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    height = 0.22
    row = torch.floor(v / height)
    column = u / (2 * height) + 0.5 * (row % 2)
    fu, fv = column - column.floor(), v / height - row
    inside = ((fu > 0.08) & (fu < 0.92) & (fv > 0.16) & (fv < 0.84)).to(p.dtype)
    # every brick has its own shade, from a hash of its row and column
    shade = 0.84 + 0.26 * torch.frac((column.floor() * 12.9898 + row * 78.233).sin() * 43758.5).abs()
    return _mix(inside, _rgb(p, 0.74, 0.33, 0.22) * shade[:, None], _rgb(p, 0.90, 0.86, 0.78))


def striped(u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    on = ((v / 0.32) % 1.0 > 0.5).to(p.dtype)
    return _mix(on, _rgb(p, 0.96, 0.94, 0.87), _rgb(p, 0.17, 0.40, 0.62))


def checkered(u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    on = ((torch.floor(u / 0.22) + torch.floor(v / 0.22)) % 2).to(p.dtype)
    return _mix(on, _rgb(p, 0.20, 0.24, 0.28), _rgb(p, 0.96, 0.78, 0.34))


def wooden(u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    radius = torch.hypot(x + 0.25, z - 0.1) + 0.05 * (y * 7).sin()
    ring = 0.5 + 0.5 * torch.sin(radius * 40)
    return _mix(ring, _rgb(p, 0.80, 0.58, 0.35), _rgb(p, 0.50, 0.30, 0.16))


def dotted(u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    fu, fv = (u / 0.29) % 1 - 0.5, (v / 0.29) % 1 - 0.5
    on = ((fu**2 + fv**2) < 0.095).to(p.dtype)
    return _mix(on, _rgb(p, 0.98, 0.96, 0.92), _rgb(p, 0.80, 0.22, 0.24))


def marble(u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    wave = x * 5.0 + y * 7.5 - z * 4.0 + 1.6 * (y * 6.0 + z * 3.0).sin() + 1.1 * (x * 9.0 - y * 4.0).sin()
    vein = torch.exp(-((wave.sin() / 0.38) ** 2))
    return _mix(vein, _rgb(p, 0.28, 0.47, 0.44), _rgb(p, 0.88, 0.92, 0.88))


MATERIALS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "brick": brick,
    "striped": striped,
    "checkered": checkered,
    "wooden": wooden,
    "dotted": dotted,
    "marble": marble,
}


def _surface_uv(shape: str, p: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    """Texture coordinates in world units: cylindrical for round objects, box-projected for flat ones."""
    x, y, z = p.unbind(-1)
    if shape in ("sphere", "cylinder", "cone", "mushroom", "crystal"):
        return torch.atan2(x, z) * 0.55, y
    if shape == "torus":
        return torch.atan2(x, y) * 0.6, torch.atan2(z, torch.hypot(x, y) - 0.48) * 0.21
    a = n.abs()
    faces_up = (a[:, 1] > a[:, 0]) & (a[:, 1] > a[:, 2])
    faces_side = (a[:, 0] >= a[:, 2]) & ~faces_up
    return torch.where(faces_side, z, x), torch.where(faces_up, z, y)


def albedo(
    shape: str,
    material: str,
    p: Tensor,  # [N, 3] surface points
    n: Tensor,  # [N, 3] unit normals
) -> Tensor:
    """True base colour [N, 3] in [0, 1] of points on an object."""
    u, v = _surface_uv(shape, p, n)
    colour = MATERIALS[material](u, v, p)
    x, y, z = p.unbind(-1)
    if shape == "mushroom":
        stem = (y < -0.005) & (torch.hypot(x, z) < 0.24)
        colour = torch.where(stem[:, None], _rgb(p, 0.93, 0.87, 0.74), colour)
    if shape == "house":
        roof = (y > 0.05) & ((n[:, 1] > 0.4) | (x.abs() > 0.51) | (z.abs() > 0.485) & (y + 0.75 * x.abs() > 0.53))
        colour = torch.where(roof[:, None], _rgb(p, 0.36, 0.40, 0.47), colour)
        door = (z > 0.3) & (x.abs() < 0.12) & (y < -0.22)
        colour = torch.where(door[:, None], _rgb(p, 0.29, 0.20, 0.16), colour)
    return colour
