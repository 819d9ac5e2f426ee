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
    _, _, backward, eye = c2w[:, :3].unbind(-1)  # [B, 3]
    right, up = (c2w[:, :3, :2] * cameras.tan_half_fov()[:, None, None]).unbind(-1)
    # pixel centres lie at odd multiples of half a pixel from the edges, which are at -1 and 1
    edge_x, edge_y = (1 - 1 / width) * width / height, 1 - 1 / height
    x = torch.linspace(-edge_x, edge_x, width, device=c2w.device, dtype=c2w.dtype)
    y = torch.linspace(edge_y, -edge_y, height, device=c2w.device, dtype=c2w.dtype)
    along_x = x[:, None] * right[:, None]  # [B, W, 3]
    along_y = y[:, None] * up[:, None] - backward[:, None]  # [B, H, 3]
    rays_d = torch.nn.functional.normalize(along_y[:, :, None] + along_x[:, None], dim=-1)
    return eye[:, None, None].expand_as(rays_d), rays_d


def ray_lengths(cameras: Cameras, height: int, width: int) -> Tensor:
    """Lengths [B, 1, H, W] of the pieces of pixel rays that reach distance 1 along the viewing direction."""
    half = cameras.tan_half_fov()[:, None, None]
    edge_x, edge_y = (1 - 1 / width) * width / height, 1 - 1 / height
    y = torch.linspace(-edge_y, edge_y, height, dtype=half.dtype, device=half.device)[:, None]
    x = torch.linspace(-edge_x, edge_x, width, dtype=half.dtype, device=half.device)
    return (1 + (half * y).square() + (half * x).square()).sqrt()[:, None]
