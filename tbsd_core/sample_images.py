"""Pictures to try things on: objects of the small world as they truly look."""

from __future__ import annotations

import torch
from torch import Tensor

from .priors.small_world.captions import parse_object
from .priors.small_world.world import render_truth, view_cameras

AZIMUTH, ELEVATION = 30.0, 20.0  # degrees: from the right and a little above


def sample_image(
    words: str,  # an object and a material, such as "brick house"
    size: int,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
) -> Tensor:
    """A picture [3, size, size] in [0, 1].

    Raises:
        ValueError: the words do not name one object and one material.
    """
    known = parse_object(words)
    if known is None:
        raise ValueError(
            f"A sample picture needs one object and one material, such as sample:brick house, got {words!r}."
        )
    cameras = view_cameras(torch.tensor([azimuth]), torch.tensor([elevation]))
    return render_truth(*known, cameras, size).images[0]
