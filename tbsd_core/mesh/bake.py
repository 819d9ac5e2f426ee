"""The colours of a field as the texture of its surface.

What a render shows is no surface: the colour is composited through a shell around it. So the texture is
not the field's colour AT the surface but what a short ray through the shell along the normal composites,
by the quadrature of the renderer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..renderer.rasterize import interpolate
from ..scenes.base import Scene3D
from .isosurface import query_colors, scene_device
from .mesh import Mesh
from .uv import dilate, texel_fragments


@dataclass(frozen=True, kw_only=True)
class BakeConfig:
    """How a shell of the field is read."""

    outside: float = 0.06  # where a ray begins, fraction of the bound in front of the surface
    inside: float = 0.12  # where it ends, fraction of the bound behind the surface
    n_samples: int = 24  # along a ray
    chunk: int = 32768  # rays at once

    def __post_init__(self) -> None:
        for name in ("outside", "inside"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"BakeConfig: {name} must lie in (0, 1], got {getattr(self, name)}.")
        for name in ("n_samples", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"BakeConfig: {name} must be >= 1, got {getattr(self, name)}.")


MIN_OPACITY = 1e-3  # a shell that absorbs less has no composited colour; the colour at the surface stands in


@torch.no_grad()
def shell_colors(
    scene: Scene3D,
    points: Tensor,  # [N, 3] on the surface
    normals: Tensor,  # [N, 3] unit, outwards
    config: BakeConfig,
) -> Tensor:
    """Colours [N, 3] in [0, 1] that rays along -normal composite through the shell, on the CPU."""
    device = scene_device(scene)
    span = (config.outside + config.inside) * scene.bound
    step = span / config.n_samples
    t = (torch.arange(config.n_samples) + 0.5) * step - config.outside * scene.bound  # [S] depth below the surface
    places = (points[:, None] - t[:, None] * normals[:, None]).reshape(-1, 3).to(device)
    density = scene.density(places).float().cpu().view(len(points), -1)
    color = query_colors(scene, places).view(len(points), -1, 3)
    optical = density * step
    before = optical.cumsum(-1) - optical
    weights = torch.exp(-before) * -torch.expm1(-optical)  # [N, S]
    opacity = weights.sum(-1, keepdim=True)
    composited = (weights[..., None] * color).sum(1) / opacity.clamp(min=MIN_OPACITY)
    return torch.where(opacity > MIN_OPACITY, composited, query_colors(scene, points))


@torch.no_grad()
def bake(
    scene: Scene3D,
    mesh: Mesh,  # with uvs
    size: int,  # texels along each side
    config: BakeConfig | None = None,
    on_progress: Callable[[float], None] = lambda done: None,  # in [0, 1]; may raise to stop
) -> np.ndarray:
    """The texture [size, size, 3] in [0, 1] of a mesh cut from `scene`; texels off the surface repeat the nearest one.

    Raises:
        ValueError: the mesh has no uvs, or no texel lies on it.
        RuntimeError: colours that are not finite.
    """
    config = config or BakeConfig()
    fragments = texel_fragments(mesh, size, size)
    known = fragments.face[0] >= 0
    faces = torch.from_numpy(mesh.faces)
    both = torch.from_numpy(np.concatenate([mesh.vertices, mesh.vertex_normals()], 1))
    places = interpolate(both, faces, fragments)[0][known]  # [K, 6]
    colors = []
    for start in range(0, len(places), config.chunk):
        part = places[start : start + config.chunk]
        colors.append(shell_colors(scene, part[:, :3], F.normalize(part[:, 3:], dim=-1), config))
        on_progress(min(1.0, (start + config.chunk) / len(places)))
    texture = torch.zeros(size, size, 3)
    if colors:
        texture[known] = torch.cat(colors)
    return dilate(texture, known).numpy()
