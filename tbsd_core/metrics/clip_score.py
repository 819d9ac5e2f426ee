"""Agreement of pictures and texts under a CLIP model, from embeddings of both.

The caller makes the embeddings: `clip_model.py` with transformers, the nodes with ComfyUI's sockets.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def clip_score(
    image_embeds: Tensor,  # [B, D], projected, any length
    text_embeds: Tensor,  # [B, D] or [1, D], projected, any length
) -> Tensor:
    """100 max(cos(image, text), 0) per image [B]: CLIPScore (arXiv:2104.08718) in the scale that torchmetrics uses.

    The paper multiplies by 2.5 instead of 100. Numbers of different CLIP models do not compare.

    Raises:
        ValueError: embeddings of different width, which are not of one CLIP.
    """
    check_widths(image_embeds, text_embeds)
    return 100 * F.cosine_similarity(image_embeds.float(), text_embeds.float(), dim=-1).clamp(min=0)


def retrieved(
    image_embeds: Tensor,  # [B, D]
    text_embeds: Tensor,  # [P, D], one per candidate prompt, P >= 2
) -> Tensor:
    """Index [B] of the candidate text nearest to each image."""
    check_widths(image_embeds, text_embeds)
    if len(text_embeds) < 2:
        raise ValueError(f"R-precision needs at least 2 candidate prompts, got {len(text_embeds)}.")
    return (F.normalize(image_embeds.float(), dim=-1) @ F.normalize(text_embeds.float(), dim=-1).T).argmax(1)


def r_precision(
    image_embeds: Tensor,  # [B, D]
    text_embeds: Tensor,  # [P, D], one per candidate prompt
    truth: Tensor,  # [B] long, the prompt of each image
) -> float:
    """Share of images whose own prompt is the nearest of all candidates (Dream Fields, arXiv:2112.01455).

    Raises:
        ValueError: fewer than 2 candidates, or embeddings of different width.
    """
    return float((retrieved(image_embeds, text_embeds) == truth.to(image_embeds.device)).float().mean())


def check_widths(image_embeds: Tensor, text_embeds: Tensor) -> None:
    """Raise ValueError if the two cannot come from one CLIP model."""
    if image_embeds.ndim != 2 or text_embeds.ndim != 2 or image_embeds.shape[1] != text_embeds.shape[1]:
        raise ValueError(
            f"Picture and text embeddings must be [B, D] with the same D, got {list(image_embeds.shape)} and "
            f"{list(text_embeds.shape)}: they come from different CLIP models."
        )


def preprocess(images: Tensor, size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images [B, 3, H, W] in [0, 1] as CLIP reads them: the shorter side to `size`, centre crop, normalised."""
    height, width = images.shape[-2:]
    scale = size / min(height, width)
    images = F.interpolate(
        images.float(), (max(size, round(height * scale)), max(size, round(width * scale))), mode="bicubic",
        align_corners=False, antialias=True,
    ).clamp(0, 1)  # fmt: skip
    top, left = (images.shape[-2] - size) // 2, (images.shape[-1] - size) // 2
    images = images[..., top : top + size, left : left + size]
    center, spread = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (mean, std))
    return (images - center) / spread
