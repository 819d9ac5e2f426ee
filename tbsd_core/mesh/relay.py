"""Maps of a surface, moved to other texture coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .bake import paint_texels
from .mesh import Mesh
from .surface import Surface
from .texture import sample_texture, wrapped

NO_NORMALS = "The normal map is left out: it belongs to the texture coordinates that could not be kept."
NO_MAPS = "Roughness, metal, normal and emissive maps are left out: there are no texture coordinates that they fit."


def relaid(
    surface: Surface,
    uvs: np.ndarray | None,  # [N, 2], the coordinates of the maps
    mesh: Mesh,  # with the new ones
    source: np.ndarray,  # [K], for each of its vertices the old one
    on_progress: Callable[[float], None] = lambda done: None,
) -> tuple[Surface, list[str]]:
    """The surface of an unwrapped mesh, and the names of lost maps: normal maps do not fit other tangents."""
    normals = None if surface.normals is None else surface.normals[source]
    kept = replace(surface, normals=normals, tangents=None, normal_map=None, materials=None, material_names=())
    if not surface.has_maps:
        return kept, []
    if uvs is None or not np.isfinite(uvs).all():
        return kept.without_maps(), [NO_MAPS]
    old = torch.from_numpy(uvs[source].astype(np.float32))
    names = [name for name in ("metallic_roughness", "emissive") if name in kept.arrays]
    for i, name in enumerate(names):
        picture = kept.arrays[name]
        side = max(picture.shape[:2])

        def look_up(at: Tensor, picture: np.ndarray = picture) -> Tensor:
            return torch.from_numpy(sample_texture(picture, wrapped(at.numpy())))

        def done(part: float, i: int = i) -> None:
            on_progress((i + part) / len(names))

        kept = replace(kept, **{name: paint_texels(mesh, (side, side), old, look_up, done)[0]})
    return kept, [NO_NORMALS] if surface.normal_map is not None else []
