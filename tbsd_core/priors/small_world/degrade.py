"""Image faults that a caption can name, and that training composes freely.

They are the small world's "bad quality" words, what a negative prompt is made of. Brightness and
contrast faults come in opposed pairs (foggy and dark, foggy and oversaturated), so that the list
as a whole says nothing about brightness: a prompt against all of them must not push towards black.
A new fault is one function (images, strength, generator) -> images and one line in DEGRADATIONS.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur [B, C, H, W] with a separable Gaussian, `sigma` in pixels."""
    radius = int(3 * sigma + 0.5)
    if radius == 0:
        return images
    x = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(x**2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def blurry(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    return gaussian_blur(images, images.shape[-1] / 64 * (1.2 + 2.0 * strength))


def oversaturated(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    luma = images.mean(1, keepdim=True)
    vivid = luma + (images - luma) * (1.6 + 1.2 * strength)
    return ((vivid - 0.5) * (1.1 + 0.3 * strength) + 0.5).clamp(0, 1)


def foggy(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    fog = torch.tensor([0.84, 0.86, 0.88], dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return images + (0.3 + 0.35 * strength) * (fog - images)


def dark(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    return images * (0.75 - 0.3 * strength)


def pixelated(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    height, width = images.shape[-2:]
    cell = max(2, round(height / 64 * (4 + 4 * strength)))
    small = F.interpolate(images, (max(1, height // cell), max(1, width // cell)), mode="area")
    return F.interpolate(small, (height, width), mode="nearest")


def malformed(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    n, _, height, width = images.shape
    flow = torch.randn(n, 2, 4, 4, generator=generator).to(images)
    flow = F.interpolate(flow, (height, width), mode="bicubic", align_corners=True) * (0.08 + 0.10 * strength)
    identity = torch.eye(2, 3, dtype=images.dtype, device=images.device).expand(n, 2, 3)
    grid = F.affine_grid(identity, [n, 1, height, width], align_corners=True)
    return F.grid_sample(images, grid + flow.permute(0, 2, 3, 1), padding_mode="border", align_corners=True)


DEGRADATIONS: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    # order of application: shape first, then colour, then resolution
    "malformed": malformed,
    "dark": dark,
    "oversaturated": oversaturated,
    "foggy": foggy,
    "blurry": blurry,
    "pixelated": pixelated,
}


def degrade(
    images: Tensor,  # [B, 3, H, W] in [0, 1]
    names: tuple[str, ...],
    strength: float,  # in [0, 1]
    generator: torch.Generator,
) -> Tensor:
    """Apply several faults, in the table's order whatever the order of `names`."""
    unknown = set(names) - set(DEGRADATIONS)
    if unknown:
        raise ValueError(f"Unknown degradations {sorted(unknown)}; known: {', '.join(DEGRADATIONS)}.")
    for name, apply in DEGRADATIONS.items():
        if name in names:
            images = apply(images, strength, generator)
    return images.clamp(0, 1)
