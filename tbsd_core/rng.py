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
