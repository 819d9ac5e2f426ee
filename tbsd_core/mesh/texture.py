"""A texture as bytes, and read at places of a mesh."""

from __future__ import annotations

import io

import numpy as np

from ..optional import require


def png_bytes(texture: np.ndarray) -> bytes:
    """An sRGB texture [H, W, 3] in [0, 1] as a PNG of 8 bits per channel."""
    pil = require("PIL.Image", "pillow")
    buffer = io.BytesIO()
    pil.fromarray(np.round(np.clip(texture, 0, 1) * 255).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def wrapped(uvs: np.ndarray) -> np.ndarray:
    """Texture coordinates within a texture that repeats beyond its edges. 1 is its far edge, not its near one."""
    return np.where((uvs < 0) | (uvs > 1), uvs % 1.0, uvs)


def sample_texture(
    texture: np.ndarray,  # [H, W, C]
    uvs: np.ndarray,  # [..., 2], (0, 0) is the upper left corner
) -> np.ndarray:
    """Values [..., C] between the four nearest texel centres; beyond the outermost ones the border continues."""
    height, width = texture.shape[:2]
    x = np.clip(uvs[..., 0].astype(np.float64) * width - 0.5, 0, width - 1)
    y = np.clip(uvs[..., 1].astype(np.float64) * height - 0.5, 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = texture[y0, x0] * (1 - fx) + texture[y0, x1] * fx
    bottom = texture[y1, x0] * (1 - fx) + texture[y1, x1] * fx
    return (top * (1 - fy) + bottom * fy).astype(texture.dtype)
