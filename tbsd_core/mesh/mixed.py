"""The texture of a painted mesh of which a part is locked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..scenes.kept import mixed
from ..scenes.mesh_texture import MeshTextureScene
from .mesh import Mesh
from .texels import interpolated, nearest_known
from .uv import texel_bands

POINTS_AT_ONCE = 1 << 18


@torch.no_grad()
def mixed_texture(
    scene: MeshTextureScene, on_progress: Callable[[float], None] = lambda done: None
) -> tuple[np.ndarray, float]:
    """The texture [H, W, 3] in [0, 1] that a scene keeps, with its new colours where they are free, and the part of it
    that shows the surface.

    Texels of weight 0 keep the kept texture, to the bit, also beside the surface. Free ones beside the surface
    take the value of the nearest that lies on it.
    """
    assert scene.kept is not None
    old, weight = scene.kept.texture.cpu().float() / 255, scene.kept.weight.cpu()
    texture, on_surface = old.clone(), torch.zeros(weight.shape, dtype=torch.bool)
    mesh = Mesh(scene.vertices.cpu().numpy(), scene.faces.cpu().numpy(), uvs=scene.uvs.cpu().numpy())
    vertices, faces, device = scene.vertices.cpu(), scene.faces.cpu(), scene.vertices.device
    height, width = weight.shape
    for rows, known, fragments in texel_bands(mesh, height, width):
        on_surface[rows] = known
        free = known & (weight[rows] > 0)
        points = interpolated(vertices[faces], fragments, free)
        parts = [scene.albedo(p.to(device)).float().cpu() for p in points.split(POINTS_AT_ONCE)]
        if len(points):
            texture[rows][free] = mixed(old[rows][free], torch.cat(parts), weight[rows][free][:, None])
        on_progress(0.8 * rows.stop / height)
    beside = ~on_surface & (weight > 0)
    if bool(beside.any()):
        nearest = nearest_known(on_surface, lambda done: on_progress(0.8 + 0.2 * done))
        texture[beside] = texture.flatten(0, 1)[nearest[beside]]
    on_progress(1.0)
    return texture.numpy(), float(on_surface.float().mean())
