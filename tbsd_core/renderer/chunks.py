"""Rays a few at a time, for memory that does not hold all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MIN_CHUNK = 256  # rays; fewer cost more time than they save memory
WATCHED = 1 << 16  # rays at once, at most, where no gradient is wanted: pieces cost nothing then


def in_chunks(
    march: Callable[[slice], dict[str, Tensor]],  # n rays -> named tensors [n, ...]
    n_rays: int,
    chunk: int,  # rays at once; 0 for all of them
) -> dict[str, Tensor]:
    """The outputs of `march` for rays 0 to n_rays - 1.

    With gradients, each chunk but an only one is computed again in the backward pass (gradient checkpointing), so that
    the memory is enough for one chunk, at the price of a second forward. Without, it is never more than WATCHED rays.
    """
    if not torch.is_grad_enabled():
        chunk = min(chunk or WATCHED, WATCHED)
    if chunk == 0 or chunk >= n_rays:
        return march(slice(0, n_rays))
    parts = []
    for start in range(0, n_rays, chunk):
        part = slice(start, min(start + chunk, n_rays))
        parts.append(
            checkpoint(march, part, use_reentrant=False, preserve_rng_state=False)
            if torch.is_grad_enabled()
            else march(part)
        )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
