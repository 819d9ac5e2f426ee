"""A MODEL that sees the views of an object together, and is told their cameras: the multi-view prior in ComfyUI.

Nothing of it acts in an ordinary sampler: the attention patch looks for an option that the prior alone sets, and the
cameras are further tokens of the prior's own copies of the conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...tbsd_core.priors.camera_tokens import CameraTokens

VIEWS = "tbsd_views"  # names the attachment of a MODEL, and the transformer option with the size of a group


@dataclass(frozen=True, eq=False)
class ViewGroups:
    """The parts of a MODEL that was fine-tuned on groups of `size` views."""

    tokens: CameraTokens
    size: int


def with_view_groups(model, groups: ViewGroups) -> None:
    """Make MODEL one that can see groups of views."""
    model.set_attachments(VIEWS, groups)
    model.set_model_attn1_patch(attend_in_groups)


def view_groups(model) -> ViewGroups | None:
    """The multi-view parts of MODEL; None for most."""
    return model.attachments.get(VIEWS)


def attend_in_groups(
    q: Tensor, k: Tensor, v: Tensor, extra_options: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """A patch of self-attention: each view [N, C] of B looks at the tokens of all views of its group."""
    views = extra_options.get(VIEWS, 1)
    if views == 1:
        return q, k, v

    def of_group(x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        whole = x.view(rows // views, 1, views * tokens, width).expand(-1, views, -1, -1)
        return whole.reshape(rows, views * tokens, width)

    keys = of_group(k)
    return q, keys, keys if v is k else of_group(v)


def in_groups(model_options: dict, views: int) -> dict:
    """Options of a forward in which attention runs over groups of views."""
    return {**model_options, "transformer_options": {**model_options.get("transformer_options", {}), VIEWS: views}}


@torch.no_grad()
def with_cameras(
    entries: list[dict],
    groups: ViewGroups,
    angles: tuple[Tensor, Tensor],  # azimuths and elevations [n] in degrees
    device: torch.device,
) -> list[dict]:
    """Conditions of a batch, as comfy has prepared them, with the tokens of its cameras behind the text of each row."""
    azimuth, elevation = angles
    tokens = groups.tokens.to(device)(azimuth.to(device), elevation.to(device))
    told = []
    for entry in entries:
        text = entry["model_conds"]["c_crossattn"]
        rows = text.process_cond(batch_size=len(tokens), area=None)
        longer = torch.cat([rows.cond.to(device), tokens.to(rows.cond.dtype)], 1)
        told.append({**entry, "model_conds": {**entry["model_conds"], "c_crossattn": text._copy_with(longer)}})
    return told
