"""All measures of some pictures as one table."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...tbsd_core.metrics import clip_score, evaluate_images, image_statistics, r_precision
from ...tbsd_core.priors.small_world.captions import parse_object
from .autograd import optimization_mode
from .clip import embeddings


def measure(
    images: Tensor,  # IMAGE [B, H, W, 3]
    truth_prompt: str,  # of the small world, "" for none
    prompt: str,  # for the CLIP score, "" for none
    others: list[str],  # candidates beside it for R-precision
    clip_vision=None,
    clip=None,
) -> tuple[dict[str, float], list[str]]:
    """Means over the pictures by name, and remarks.

    Raises:
        ValueError: a truth prompt that does not name one object and one material, or half of a CLIP.
    """
    remarks = []
    with optimization_mode(), torch.no_grad():
        pictures = images.clone().float().movedim(-1, 1)[:, :3]
        found = {name: float(v.mean()) for name, v in image_statistics(pictures).items()}
        if truth_prompt.strip():
            known = parse_object(truth_prompt)
            if known is None:
                raise ValueError(
                    f"truth_prompt must name one object and one material of the demo model, got {truth_prompt!r}. "
                    'Example: "a brick house". Leave it empty for pictures of another model.'
                )
            if pictures.shape[-1] != pictures.shape[-2]:
                raise ValueError(f"The truth is square, got pictures of {list(pictures.shape[-2:])} pixels.")
            found |= evaluate_images(pictures, *known)
    if (clip_vision is None) != (clip is None):
        raise ValueError("The CLIP score needs both halves of one CLIP: connect clip_vision and clip, or neither.")
    if clip is not None:
        if not prompt.strip():
            raise ValueError("The CLIP score needs a prompt: what should the pictures show?")
        image_embeds, texts, warning = embeddings(clip_vision, clip, images, [prompt, *others])
        found["clip_score"] = float(clip_score(image_embeds, texts[:1]).mean())
        if others:
            own = torch.zeros(len(image_embeds), dtype=torch.long)
            found["clip_r_precision"] = r_precision(image_embeds, texts, own)
        remarks += [warning] if warning else []
    return found, remarks


def as_text(found: dict[str, float], n: int, remarks: list[str]) -> str:
    """The measures as lines of text."""
    width = max(len(name) for name in found)
    head = "1 picture" if n == 1 else f"mean over {n} pictures"
    lines = [f"{name.replace('_', ' '):{width}s}  {value:.4g}" for name, value in found.items()]
    return "\n".join([head, *lines, *remarks])


def value(found: dict[str, float], name: str) -> float:
    """A measure, or NaN where it was not taken: a number that would pass for a result would mislead."""
    return found.get(name, math.nan)
