"""The factor of a material's base colour, multiplied into the colours that a run starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..color import linear_to_srgb, srgb_to_linear
from .mesh import Mesh


def tinted(mesh: Mesh) -> Mesh:
    """The mesh as it is seen, without the factor: glTF multiplies texture, or vertex colours, by it in linear light.

    A mesh with neither gets the factor as the colour of its vertices.
    """
    factor = np.asarray(mesh.surface.factors.get("base_color_factor", [1.0] * 4), dtype=np.float32)[:3]
    if (factor == 1).all():
        return mesh

    def seen(colors: np.ndarray) -> np.ndarray:
        return linear_to_srgb(np.clip(srgb_to_linear(colors) * factor, 0, 1)).astype(np.float32)

    surface = mesh.surface.painted()
    if mesh.texture is not None:
        return replace(mesh, texture=seen(mesh.texture), surface=surface)
    white = np.ones((len(mesh.vertices), 3), dtype=np.float32)
    return replace(mesh, colors=seen(white if mesh.colors is None else mesh.colors), surface=surface)
