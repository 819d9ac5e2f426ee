"""Meshes to try things on: the objects of the small world, whose true textures are known."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .mesh.mesh import Mesh
from .native import run_native
from .priors.small_world.shapes import SHAPES


@lru_cache(maxsize=4)
@torch.no_grad()
def sample_mesh(name: str, resolution: int = 96) -> Mesh:
    """The surface of an object by marching cubes on its distance function; about 30,000 faces at 96.

    Args:
        resolution: grid points along each side, >= 16.

    Raises:
        ValueError: unknown object, or a resolution below 16 or above 512.
    """
    if name not in SHAPES:
        raise ValueError(f"Unknown sample {name!r}; choose one of {', '.join(SHAPES)}.")
    if not 16 <= resolution <= 512:
        raise ValueError(f"resolution must lie in [16, 512], got {resolution}.")
    axis = torch.linspace(-1, 1, resolution)
    rows = [
        SHAPES[name](torch.stack(torch.meshgrid(axis[i : i + 1], axis, axis, indexing="ij"), -1).reshape(-1, 3))
        for i in range(resolution)
    ]
    distance = torch.cat(rows).view(resolution, resolution, resolution).numpy()
    cut = run_native("surface", {"volume": -distance, "level": 0.0, "keep_fraction": 0.0})
    return Mesh((cut["vertices"] * (2 / (resolution - 1)) - 1).astype(np.float32), cut["faces"])
