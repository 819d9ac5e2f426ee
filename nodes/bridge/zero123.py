"""A picture as prompts of Stable Zero123: the host's StableZero123_Conditioning makes them for one camera, this
module for the cameras of all views.

The network reads the CLIP embedding of a picture beside the numbers of a camera, and the latents of that picture beside
the noisy ones. Both are made anew in each forward, by the model's own `extra_conds`, for the cameras and the size of
its views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...tbsd_core.optim import Reference, ReferenceConfig, framed
from ...tbsd_core.priors.zero123 import camera_numbers
from ...tbsd_core.prompts import PromptSet
from .autograd import optimization_mode
from .compat import is_model
from .conditioning import ConditioningCondition
from .files import to_image
from .prompts import Prompts

PICTURE = "tbsd_picture"  # option of a CONDITIONING entry that is of a picture
SIDE = 256  # pixels of the pictures that these models were trained on
NODE = "Image Prompt (Zero123)"


@dataclass(frozen=True, eq=False)
class PicturePrompt:
    """The parts of an entry.

    Args:
        embedding: [1, 1, 768] of CLIP's vision model; None for the empty prompt, zeros from everywhere.
        elevation: of the picture's camera, in degrees.
        kind: one of priors.zero123.KINDS.
    """

    embedding: Tensor | None
    elevation: float
    kind: str

    def tokens(self, azimuth: Tensor, elevation: Tensor) -> Tensor | None:
        """[B, 1, 772] for cameras [B] in degrees, before the model's projection."""
        if self.embedding is None:
            return None
        numbers = camera_numbers(azimuth, elevation, self.elevation, self.kind)[:, None]
        return torch.cat([self.embedding.to(numbers).expand(len(numbers), -1, -1), numbers], -1)


def picture_prompts(
    clip_vision, vae, image: Tensor, mask: Tensor | None, kind: str, config: ReferenceConfig
) -> Prompts:
    """The prompts of a picture, with the reference view that its front keeps to.

    Args:
        image: IMAGE [1, H, W, 3], or with an alpha channel.
        mask: MASK [1, H, W] as Load Image gives it: 1 where the picture is transparent; None: 1 - alpha.

    Raises:
        ValueError: several pictures, nothing says where the object is, or a model is missing.
    """
    if clip_vision is None or vae is None:
        missing = "CLIP_VISION" if clip_vision is None else "VAE"
        raise ValueError(f"No {missing}: the file has none. Load it with Image Only Checkpoint Loader (img2vid model).")
    reference = cut_out(image, mask, config)
    picture = to_image(reference.on_white())
    embedding = clip_vision.encode_image(picture).image_embeds.unsqueeze(0)
    rgb, covered = reference.at(SIDE, torch.device("cpu"))
    latent = vae.encode(to_image(rgb * covered + (1 - covered)))  # not scaled, as in training
    front, level = torch.zeros(1), torch.tensor([config.elevation])
    target = PicturePrompt(embedding, config.elevation, kind)
    empty = PicturePrompt(None, config.elevation, kind)
    named = {
        "target": [[target.tokens(front, level), {"concat_latent_image": latent, PICTURE: target}]],
        "uncond": [
            [torch.zeros_like(embedding), {"concat_latent_image": torch.zeros_like(latent), PICTURE: empty}]
        ],
    }
    conditions = {name: {"": ConditioningCondition(entries)} for name, entries in named.items()}
    return Prompts(PromptSet(conditions, {name: {"": ""} for name in named}), reference=reference)


def cut_out(image: Tensor, mask: Tensor | None, config: ReferenceConfig) -> Reference:
    """The object of an IMAGE in its frame, in tensors that autograd accepts. Raises as `picture_prompts`."""
    with optimization_mode(), torch.no_grad():
        if len(image) != 1:
            raise ValueError(f"{NODE} takes one picture, got {len(image)}. Choose one with Image From Batch.")
        if mask is not None and mask.numel() > mask.shape[-1] * mask.shape[-2]:
            raise ValueError(f"{NODE} takes one mask, got {mask.shape[0]}. Choose the mask of the picture.")
        pixels = image.float().cpu().clone().movedim(-1, 1)
        if mask is None and pixels.shape[1] < 4:
            raise ValueError(
                "Nothing says where the object is in the picture: it has no transparency and no mask is connected. "
                "Connect the MASK of Load Image, or remove the background first."
            )
        covered = pixels[:, 3:4] if mask is None else 1 - mask.float().cpu().clone().view(1, 1, *mask.shape[-2:])
        if covered.shape[-2:] != pixels.shape[-2:]:  # Load Image gives a small one for a picture without transparency
            covered = torch.nn.functional.interpolate(covered, pixels.shape[-2:], mode="bilinear", align_corners=False)
        return framed(pixels[:, :3], covered, config)


def is_of_picture(condition: ConditioningCondition) -> bool:
    """Whether a condition was made here."""
    return any(PICTURE in options for _, options in condition.entries)


def check_pictures(model, conditions: Sequence[ConditioningCondition]) -> None:
    """Raise ValueError for prompts of a picture with a model that reads text, and the other way round."""
    if model is None:
        return
    reads_pictures, kind = is_model(model.model, "Stable_Zero123"), type(model.model).__name__
    of_picture = [is_of_picture(c) for c in conditions]
    if any(of_picture) and not reads_pictures:
        raise ValueError(
            f"The prompts are of a picture, but the model is {kind}, which reads text. Connect the MODEL of a Stable "
            "Zero123 checkpoint, or prompts from Prompt Encode."
        )
    if reads_pictures and not all(of_picture):
        raise ValueError(f"This model is told what to make by a picture, not by text. Connect {NODE} to prompts.")


@torch.no_grad()
def with_picture(
    entries: list[dict],
    inner: Any,  # comfy's Stable_Zero123
    x: Tensor,  # [n, 4, h, w]
    angles: tuple[Tensor, Tensor] | None,  # azimuths and elevations [n] in degrees; None: of the picture's own camera
) -> list[dict]:
    """Conditions of a batch, as comfy has prepared them, for its own cameras and size."""
    told = []
    for entry in entries:
        tokens = None if angles is None else entry[PICTURE].tokens(*angles)
        made = inner.extra_conds(
            noise=x,
            device=x.device,
            cross_attn=(entry["cross_attn"] if tokens is None else tokens).to(x.device),
            concat_latent_image=entry["concat_latent_image"].to(x.device),
        )
        told.append({**entry, "model_conds": {**entry["model_conds"], **made}})
    return told
