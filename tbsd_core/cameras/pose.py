"""Camera poses and the one statement of the camera convention.

World: right-handed, +y up, the object's front faces +z. Cameras: OpenGL axes (x right, y up,
looking along -z). Angles in degrees: azimuth 0 looks at the front, 90 at the object's +x side,
180 at the back; elevation 0 is level, 90 straight above. Every camera looks at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..transfer import to_device


@dataclass(frozen=True)
class Cameras:
    """A batch of B cameras that orbit the origin.

    Args:
        azimuth: [B], degrees, any real number (wrapped by the trigonometry).
        elevation: [B], degrees in [-90, 90].
        distance: [B], world units, > 0.
        fov_y: [B], degrees, the full vertical field of view.
    """

    azimuth: Tensor
    elevation: Tensor
    distance: Tensor
    fov_y: Tensor

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in ("azimuth", "elevation", "distance", "fov_y")}
        if len(set(shapes.values())) != 1 or self.azimuth.ndim != 1:
            raise ValueError(f"Cameras needs four tensors of one shape [B], got {shapes}.")

    def __len__(self) -> int:
        return self.azimuth.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Cameras:
        return Cameras(self.azimuth[index], self.elevation[index], self.distance[index], self.fov_y[index])

    def to(self, device: torch.device | str) -> Cameras:
        """The same cameras with their tensors on `device`.

        From the CPU to another device everything travels in one copy that does not block the host. Matrices and
        tangents travel too: computing these few numbers on the device would cost about twenty kernels per render.
        """
        fields = (self.azimuth, self.elevation, self.distance, self.fov_y)
        if self.azimuth.device.type != "cpu" or torch.device(device).type == "cpu":
            moved = tuple(x.to(device) for x in fields)
            return self if all(a is b for a, b in zip(moved, fields, strict=True)) else Cameras(*moved)
        table = torch.cat([torch.stack((*fields, self.tan_half_fov()), 1), self.c2w().flatten(1)], 1)
        table = to_device(table, device)
        cameras = Cameras(*table[:, :4].unbind(1))
        cameras.__dict__.update(_tan_half_fov=table[:, 4], _c2w=table[:, 5:].unflatten(1, (4, 4)))
        return cameras

    def c2w(self) -> Tensor:
        """Camera-to-world matrices [B, 4, 4] (columns: right, up, backward, position); not to be written to."""
        known = self.__dict__.get("_c2w")
        return look_at_origin(self.azimuth, self.elevation, self.distance) if known is None else known

    def tan_half_fov(self) -> Tensor:
        """Tangents [B] of half the vertical field of view: half the image's height at distance 1."""
        known = self.__dict__.get("_tan_half_fov")
        return torch.tan(torch.deg2rad(self.fov_y) / 2) if known is None else known


def look_at_origin(
    azimuth: Tensor,  # [B] degrees
    elevation: Tensor,  # [B] degrees
    distance: Tensor,  # [B]
) -> Tensor:
    """Camera-to-world matrices [B, 4, 4] of cameras that look at the origin with +y up.

    The right vector is taken from the azimuth alone, so that a camera straight above keeps a
    well-defined orientation (a cross product with +y would vanish there).
    """
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    zero = torch.zeros_like(a)
    backward = torch.stack([a.sin() * e.cos(), e.sin(), a.cos() * e.cos()], -1)
    right = torch.stack([a.cos(), zero, -a.sin()], -1)
    up = torch.linalg.cross(backward, right)
    top = torch.stack([right, up, backward, backward * distance[:, None]], -1)  # [B, 3, 4]
    bottom = torch.stack([zero, zero, zero, torch.ones_like(a)], -1)[:, None]
    return torch.cat([top, bottom], 1)
