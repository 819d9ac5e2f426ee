"""Rays through pixel centres of pinhole cameras."""

from __future__ import annotations

import torch
from torch import Tensor

from .pose import Cameras


def camera_rays(cameras: Cameras, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rays of every pixel centre, row 0 at the top of the image.

    Args:
        cameras: B cameras.
        height, width: image size in pixels.

    Returns:
        rays_o [B, H, W, 3] and unit rays_d [B, H, W, 3], in world space.
    """
    c2w = cameras.c2w()
    device, dtype = c2w.device, c2w.dtype
    half = torch.tan(torch.deg2rad(cameras.fov_y) / 2)  # [B]
    y = 1 - (torch.arange(height, device=device, dtype=dtype) + 0.5) / height * 2
    x = ((torch.arange(width, device=device, dtype=dtype) + 0.5) / width * 2 - 1) * (width / height)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    local = torch.stack(
        [
            grid_x * half[:, None, None],
            grid_y * half[:, None, None],
            -torch.ones(len(cameras), height, width, device=device, dtype=dtype),
        ],
        -1,
    )
    rays_d = torch.nn.functional.normalize(torch.einsum("bij,bhwj->bhwi", c2w[:, :3, :3], local), dim=-1)
    rays_o = c2w[:, None, None, :3, 3].expand_as(rays_d)
    return rays_o, rays_d
