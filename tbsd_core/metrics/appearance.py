"""How pictures look, without knowing what they should show: free functions of tensors [B, 3, H, W] in [0, 1].

Score distillation is known for over-saturated, over-contrasted results; these numbers say by how much, for
any prior. None of them has a right value: compare results for one prompt, or with samples of the model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .image_stats import foreground, saturation

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
HALF_STEP = 0.5 / 255  # what rounds to the end of an 8-bit scale


def luma(images: Tensor) -> Tensor:
    """Brightness [B, 1, H, W] in [0, 1] of RGB as it is stored (not linear light), ITU-R BT.601."""
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def colourfulness(images: Tensor) -> Tensor:
    """Colourfulness M3 [B] on a scale of 0 (grey) to about 110 (extremely colourful).

    Hasler and Suesstrunk, Measuring colourfulness in natural images, SPIE 5007 (2003), Eq. for M^(3):
        sqrt(var_rg + var_yb) + 0.3 sqrt(mean_rg^2 + mean_yb^2),  rg = R - G,  yb = (R + G) / 2 - B  of 0..255.
    """
    red, green, blue = (255 * images).unbind(1)
    opponent = torch.stack([red - green, (red + green) / 2 - blue], 1).flatten(2)  # [B, 2, H W]
    spread = opponent.var(-1, correction=0).sum(1).sqrt()
    return spread + 0.3 * opponent.mean(-1).norm(dim=1)


def rms_contrast(images: Tensor) -> Tensor:
    """Standard deviation [B] of the luma, 0 to 0.5 (Peli, Contrast in complex images, JOSA A 7 (1990), Eq. 4)."""
    return luma(images).flatten(1).std(1, correction=0)


def laplacian_variance(images: Tensor) -> Tensor:
    """Sharpness [B]: variance of the Laplacian of the luma on a scale of 0..255.

    Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR (2000). The Laplacian is the sum of
    the four neighbours less four times the pixel, the picture mirrored at its border. It grows with noise as it
    does with detail, and depends on the resolution: compare pictures of one size.
    """
    padded = F.pad(255 * luma(images), (1, 1, 1, 1), mode="reflect")
    centre = padded[..., 1:-1, 1:-1]
    neighbours = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return (neighbours - 4 * centre).flatten(1).var(1, correction=0)


def clipped_share(images: Tensor) -> Tensor:
    """Share [B] of the pixels with a channel that is 0 or 255 once it is stored in 8 bits."""
    ends = (images < HALF_STEP) | (images >= 1 - HALF_STEP)
    return ends.any(1).to(images.dtype).flatten(1).mean(1)


@torch.no_grad()
def describe_images(images: Tensor) -> dict[str, float]:
    """Means over images [B, 3, H, W] in [0, 1] of every measure that needs nothing but the picture.

    Returns:
        saturation: mean HSV saturation of the picture, 0 to 1.
        saturation_foreground: the same where the colour differs from the border; 0 where nothing does.
        foreground_share: share of the pixels that do.
        colourfulness, rms_contrast, sharpness, clipped_share: see the functions above.

    Raises:
        ValueError: the shape is another, or the picture is smaller than 2 x 2 pixels.
    """
    check_images(images)
    images = images.float()
    outline = foreground(images)
    measures = {
        "saturation": saturation(images, torch.ones_like(outline)),
        "saturation_foreground": saturation(images, outline),
        "foreground_share": outline.float().flatten(1).mean(1),
        "colourfulness": colourfulness(images),
        "rms_contrast": rms_contrast(images),
        "sharpness": laplacian_variance(images),
        "clipped_share": clipped_share(images),
    }
    return {name: float(values.mean()) for name, values in measures.items()}


def check_images(images: Tensor) -> None:
    """Raise ValueError unless `images` is [B, 3, H, W] with B > 0 and at least 2 x 2 pixels."""
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0 or min(images.shape[-2:]) < 2:
        raise ValueError(
            f"Pictures are a tensor [B, 3, H, W] with at least one picture of at least 2 x 2 pixels, "
            f"got {list(images.shape)}."
        )
