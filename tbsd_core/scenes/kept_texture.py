"""The texture that a painted mesh had, and how far each place of it may change, as views show them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kept import Kept


class KeptTexture(Kept):
    """Texture and weight in ever smaller sizes: a texture that is finer than the pixels of a view would flicker."""

    texture: Tensor  # [H, W, 3] uint8, sRGB

    def __init__(
        self,
        texture: Tensor,
        weight: Tensor,
        beside: Tensor | None = None,  # [H, W, 4] uint8: colours of the locked part beside, and how near that is
    ) -> None:
        super().__init__({"texture": texture, "weight": weight})
        more = [] if beside is None else [beside.float() / 255]
        level = torch.cat([texture.float() / 255, weight[..., None], *more], -1).permute(2, 0, 1)[None]
        full = level.shape[:1:-1]
        self._reach: list[tuple[float, ...]] = []  # of each size: the part of width and height that the picture fills
        self.n_levels = 1 + int(math.log2(min(level.shape[-2:])))
        for i in range(self.n_levels):
            self.register_buffer(f"level_{i}", level, persistent=False)
            self._reach.append(tuple(side / (n * 2**i) for side, n in zip(full, level.shape[:1:-1], strict=True)))
            if i + 1 < self.n_levels:
                level = F.avg_pool2d(level, 2, ceil_mode=True)

    def seen_at(
        self,
        uvs: Tensor,  # [K, 2], (0, 0) is the upper left corner
        texels: float,  # of the texture, at full size, for each of these places
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Colours [K, 3] in [0, 1], weights [K, 1] and what lies beside [K, 4] ([K, 0] if that is not kept), between
        the nearest texel centres of the size that fits."""
        i = min(self.n_levels - 1, max(0, int(0.5 * math.log2(max(texels, 1.0)))))
        across, down = self._reach[i]
        if (across, down) != (1.0, 1.0):
            uvs = torch.stack([uvs[:, 0] * across, uvs[:, 1] * down], -1)
        grid = (uvs * 2 - 1)[None, None]
        found = F.grid_sample(self.get_buffer(f"level_{i}"), grid, padding_mode="border", align_corners=False)[0, :, 0]
        return found[:3].T, found[3:4].T, found[4:].T


def uv_area(uvs: Tensor, faces: Tensor) -> float:
    """The part of the texture that faces [M, 3] cover, where they do not overlap."""
    a, b, c = uvs[faces].unbind(1)
    u, v = b - a, c - a
    return float((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).abs().sum() / 2)


def low_pass_difference(
    a: Tensor,  # [B, 3, H, W]
    b: Tensor,
    mask: Tensor,  # [B, 1, H, W] in [0, 1]
    width: int,  # pixels
) -> Tensor:
    """Mean square of the difference of colours averaged over squares of `width` pixels, where there is an object."""
    width = max(1, min(width, a.shape[-1]))
    pool = nn.AvgPool2d(width, stride=max(1, width // 2))
    part = pool(mask)
    mean = pool((a - b) * mask)
    return (mean.square() * part).sum() / (3 * part.sum().clamp(min=1e-6))
