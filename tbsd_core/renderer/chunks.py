"""Rays a few at a time, for memory that does not hold all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MIN_CHUNK = 256  # rays; fewer cost more time than they save memory


def in_chunks(
    march: Callable[[Tensor], tuple[Tensor, ...]],  # ray indices [n] -> tensors [n, ...]
    n_rays: int,
    chunk: int,  # rays at once; 0 for all of them
    device: torch.device,
) -> tuple[Tensor, ...]:
    """The outputs of `march` for rays 0 to n_rays - 1.

    With gradients, each chunk but an only one is computed again in the backward pass (gradient
    checkpointing), so that the memory is that of one chunk, at the price of a second forward.
    """
    index = torch.arange(n_rays, device=device)
    if chunk == 0 or chunk >= n_rays:
        return march(index)
    parts = []
    for part in index.split(chunk):
        parts.append(
            checkpoint(march, part, use_reentrant=False, preserve_rng_state=False)
            if torch.is_grad_enabled()
            else march(part)
        )
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
