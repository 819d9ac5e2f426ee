"""The camera numbers that condition a model of views: Zero-1-to-3 (arXiv:2303.11328) or Stable Zero123.

Both were trained on pairs of pictures of one object: from the picture of a reference camera they predict the picture of
another one. The four numbers of a camera stand beside the CLIP embedding of the reference picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

STABLE_ZERO123, ZERO123_XL = "Stable Zero123", "Zero123-XL"
KINDS = (STABLE_ZERO123, ZERO123_XL)


def camera_numbers(
    azimuth: Tensor,  # [B] degrees from the reference camera, positive to the object's +x side
    elevation: Tensor,  # [B] degrees above level
    reference_elevation: float,  # of the reference camera, in degrees above level
    kind: str = STABLE_ZERO123,  # one of KINDS
) -> Tensor:
    """The numbers [B, 4], float32: polar angle from the reference camera (radians), sine and cosine of the azimuth, and
    a fourth one.

    That is the reference camera's own polar angle in radians for Stable Zero123, and the difference of the distances
    for the models before it (section 3.2 of the paper), whose cameras are all taken to be equally far away: 0.
    threestudio's stable_zero123_guidance.py and zero123_guidance.py have both.
    """
    turn = torch.deg2rad(azimuth.float())
    polar = torch.deg2rad(reference_elevation - elevation.float())  # (90 - elevation) - (90 - reference_elevation)
    own = torch.deg2rad(torch.tensor(90.0 - reference_elevation)).to(turn)
    last = own if kind == STABLE_ZERO123 else torch.zeros_like(own)
    return torch.stack([polar, turn.sin(), turn.cos(), last.expand_as(turn)], -1)
