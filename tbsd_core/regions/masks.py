"""Masks that somebody painted, as yes and no."""

from __future__ import annotations

import torch
from torch import Tensor

EMPTY = "Nothing may change: {}. Paint white where the run may change things, or invert it."


def free_of(
    mask: Tensor,  # [H, W] in [0, 1]
    size: tuple[int, int],  # of what it is for: rows, columns
    what: str,  # that is, for messages: "the picture"
) -> Tensor:
    """Where a mask is more than half, [H, W] bool, on the CPU. It is never resized: a mask of another size belongs to
    another picture.

    Raises:
        ValueError: another size, values that are not numbers, or an empty mask.
    """
    if tuple(mask.shape) != size:
        got, wanted = (f"{' x '.join(map(str, reversed(x)))}" for x in (tuple(mask.shape), size))
        raise ValueError(f"The mask is {got} pixels, but {what} is {wanted}. Make the mask that size.")
    return chosen(mask)


def chosen(mask: Tensor) -> Tensor:
    """Where a mask of any size is more than half. Raises ValueError if it is nowhere."""
    if not bool(torch.isfinite(mask).all()):
        raise ValueError("The mask has numbers that are not finite.")
    free = mask.detach().cpu() > 0.5
    if not bool(free.any()):
        raise ValueError(EMPTY.format("the mask is empty"))
    return free
