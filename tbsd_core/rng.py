"""Named random generators: each draw is a function of (seed, purpose, step) and of nothing else.

So a resumed run continues exactly, and drawing more cameras never changes the noise.
"""

from __future__ import annotations

import hashlib

import torch


def named_generator(seed: int, purpose: str, step: int = 0) -> torch.Generator:
    """A fresh CPU generator for one purpose ("camera", "timestep", "noise", "init", ...) at one step.

    Draw on the CPU and move the result: the numbers are then the same on every device.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class PartGenerator(torch.Generator):
    """A generator of which `rand_rows` takes one of equal parts, so that processes share the draws of a batch."""

    part, n_parts = 0, 1

    @classmethod
    def of(cls, generator: torch.Generator, part: int, n_parts: int) -> PartGenerator:
        own = cls()
        own.set_state(generator.get_state())
        own.part, own.n_parts = part, n_parts
        return own


def rand_rows(n: int, *shape: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Uniform numbers [n, *shape] in [0, 1); of a PartGenerator its rows of n_parts times as many."""
    part, n_parts = (generator.part, generator.n_parts) if isinstance(generator, PartGenerator) else (0, 1)
    return torch.rand(n_parts * n, *shape, generator=generator, dtype=dtype)[part * n : (part + 1) * n]
