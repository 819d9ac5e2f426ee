"""Statistics of images alone, as free functions of tensors [B, 3, H, W] in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def foreground(images: Tensor, threshold: float = 0.26, gap: int = 3) -> Tensor:
    """Object mask [B, 1, H, W] (bool): pixels whose colour is far from the median of the image border.

    The threshold (Euclidean, RGB in [0, 1]) is wide enough that the pale halos which over-sharpening
    methods draw around an object do not count as object. Pale stripes and dots within the object are
    closed where they are narrower than twice `gap` pixels (of 64).
    """
    border = torch.cat(
        [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], -1
    ).median(-1, keepdim=True)[0]
    mask = ((images - border[..., None]) ** 2).sum(1, keepdim=True).sqrt() > threshold
    radius = max(1, round(gap * images.shape[-1] / 64))
    grown = F.max_pool2d(mask.float(), 2 * radius + 1, 1, radius)
    # pixels outside the image count as background, so that the mask shrinks back from the border, too
    return -F.max_pool2d(-F.pad(grown, (radius,) * 4), 2 * radius + 1, 1) > 0.5


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean [B] of [B, 1, H, W] over a mask; 0 where the mask is empty."""
    mask = mask.to(values.dtype)
    return (values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


def interior(mask: Tensor, margin: int = 3) -> Tensor:
    """A boolean mask [B, 1, H, W] without its outermost `margin` pixels (of 64); unchanged if nothing would be left.

    Statistics of texture must not see the step at the outline, whose height depends on the background.
    """
    margin = max(1, round(margin * mask.shape[-1] / 64))
    inner = ~F.max_pool2d((~mask).float(), 2 * margin + 1, 1, margin).bool()
    return torch.where(inner.flatten(1).any(1).view(-1, 1, 1, 1), inner, mask)


def saturation(images: Tensor, mask: Tensor) -> Tensor:
    """Mean HSV saturation [B] over a mask: (max - min) / max of the channels."""
    high, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    return masked_mean((high - low) / high.clamp(min=1e-3), mask)


def luma(images: Tensor) -> Tensor:
    """Brightness [B, 1, H, W] in [0, 1] (ITU-R BT.601, the weights of JPEG)."""
    return (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def colourfulness(images: Tensor) -> Tensor:
    """How colourful whole pictures are [B], on the scale of 0 to 255 of Hasler and Suesstrunk (SPIE 2003, Eq. 8).

    sqrt(var rg + var yb) + 0.3 sqrt(mean rg^2 + mean yb^2) with rg = R - G and yb = (R + G) / 2 - B. Grey is 0;
    their viewers called 33 moderately and 82 highly colourful.
    """
    red, green, blue = (images[:, c].flatten(1) * 255 for c in range(3))
    opponents = torch.stack([red - green, (red + green) / 2 - blue])  # [2, B, H W]
    spread = opponents.var(-1, correction=0).sum(0).sqrt()
    return spread + 0.3 * opponents.mean(-1).pow(2).sum(0).sqrt()


def contrast(images: Tensor) -> Tensor:
    """RMS contrast [B]: standard deviation of the brightness over the picture."""
    return luma(images).flatten(1).std(1, correction=0)


def sharpness(images: Tensor) -> Tensor:
    """Standard deviation [B] of the Laplacian of the brightness; 0 for a flat picture, noise counts as sharp."""
    y = F.pad(luma(images), (1, 1, 1, 1), mode="replicate")
    centre = y[..., 1:-1, 1:-1]
    sides = y[..., :-2, 1:-1] + y[..., 2:, 1:-1] + y[..., 1:-1, :-2] + y[..., 1:-1, 2:]
    return (sides - 4 * centre).flatten(1).std(1, correction=0)


def image_statistics(images: Tensor) -> dict[str, Tensor]:
    """Statistics that need neither truth nor model, by name: one value [B] per picture. Saturation is measured on the
    foreground."""
    return {
        "saturation": saturation(images, foreground(images)),
        "colourfulness": colourfulness(images),
        "contrast": contrast(images),
        "sharpness": sharpness(images),
    }


def high_frequency_energy(images: Tensor, mask: Tensor, sigma: float = 1.5) -> Tensor:
    """Share [B] of the variance inside a mask that lies above a Gaussian of `sigma` pixels (of 64).

    0 where there is no variance, as in a mask of one pixel.
    """
    sigma = sigma * images.shape[-1] / 64
    radius = max(1, int(3 * sigma + 0.5))
    x = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="replicate")
    low = F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    high_energy = masked_mean(((images - low) ** 2).sum(1, keepdim=True), mask)
    means = torch.stack([masked_mean(images[:, c : c + 1], mask) for c in range(3)], 1)[..., None, None]
    total = masked_mean(((images - means) ** 2).sum(1, keepdim=True), mask)
    return torch.where(total > 1e-6, high_energy / total.clamp(min=1e-6), torch.zeros_like(total))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union [B] of two boolean tensors [B, ...]; 1 where both are empty."""
    a, b = a.flatten(1), b.flatten(1)
    union = (a | b).sum(1)
    return torch.where(union > 0, (a & b).sum(1) / union.clamp(min=1), torch.ones_like(union, dtype=torch.float32))


def patch_distance(
    images: Tensor,  # [B, 3, H, W]
    mask: Tensor,  # [B, 1, H, W] bool, the object
    reference: Tensor,  # [R, 3, H, W], clean images of the same texture
    patch: int = 6,  # pixels
) -> Tensor:
    """RMS colour distance [B] of each patch on the object to its nearest patch in the references.

    Low when the texture is locally one that exists, wherever it sits. NaN where no patch fits. A picture smaller than a
    patch is one.
    """
    patch = min(patch, *images.shape[-2:], *reference.shape[-2:])
    # every place of the references, so that texture in the right place is at distance 0 wherever that is
    bank = F.unfold(reference, patch).transpose(1, 2).flatten(0, 1)  # [R * P, 3 patch^2]
    pixels = F.unfold(images, patch, stride=patch).transpose(1, 2)
    inside = F.unfold(mask.to(images.dtype), patch, stride=patch).mean(1) > 0.8  # [B, P]
    out = []
    for patches, keep in zip(pixels, inside, strict=True):
        if not bool(keep.any()):
            out.append(torch.tensor(float("nan")))
            continue
        nearest = torch.stack([torch.cdist(patches[keep], part).amin(1) for part in bank.split(16384)]).amin(0)
        out.append((nearest**2 / bank.shape[1]).mean().sqrt())
    return torch.stack(out)
