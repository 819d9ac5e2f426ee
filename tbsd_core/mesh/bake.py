"""The colours of a field as the texture of its surface, taken from the field's own renders.

What a render shows is no surface: each pixel composites a shell of the field, so the field's colour AT the
surface is not what was seen, and optimised. The texture is therefore the mean of what views from all around
show at each texel, the more of a view the more squarely it looks; what no view shows gets the field's colour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.sampling import orbit
from ..renderer.rasterize import interpolate, project, rasterize
from ..scenes.base import Scene3D
from ..settings import check_settings, setting
from .isosurface import query_colors, scene_device
from .mesh import Mesh
from .uv import dilate, texel_fragments

DISTANCE, FOV_Y = 3.0, 36.0  # cameras in units of the bound: the whole ball is in every picture
MIN_COSINE = 0.2  # of the angle between normal and view; flatter views smear a pixel over many texels
MIN_OPACITY = 0.95  # pixels that let more of the background through do not count
DEPTH_TOLERANCE = 0.02  # of the bound; a place farther behind what the camera sees than that is hidden
SHELL = 0.1  # of the bound; where the render's depth is farther from the place, its pixel mixes near and far things


@dataclass(frozen=True, kw_only=True)
class BakeConfig:
    """From where the field is looked at."""

    views: int = setting(8, at_least=1)  # around the object at each elevation
    elevations: tuple[float, ...] = setting((-30.0, 15.0, 50.0), at_least=-90, at_most=90)  # degrees
    size: int = setting(256, at_least=8)  # pixels of a view

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.elevations:
            raise ValueError("elevations must be at least one, got none.")

    def cameras(self, bound: float) -> Cameras:
        """Rings of views, and one view from straight above and below."""
        rings = [(self.views, e) for e in self.elevations] + [(1, 90.0), (1, -90.0)]
        parts = [orbit(n, e, DISTANCE * bound, FOV_Y) for n, e in rings]
        names = ("azimuth", "elevation", "distance", "fov_y")
        return Cameras(*(torch.cat([getattr(p, name) for p in parts]) for name in names))


@torch.no_grad()
def seen_colors(
    scene: Scene3D,
    mesh: Mesh,
    points: Tensor,  # [N, 3] on the mesh
    normals: Tensor,  # [N, 3] unit, outwards
    config: BakeConfig,
    on_progress: Callable[[float], None] = lambda done: None,  # in [0, 1]; may raise to stop
) -> Tensor:
    """Colours [N, 3] in [0, 1] that renders of the scene show at the points, on the CPU.

    Raises:
        RuntimeError: colours that are not finite.
    """
    cameras = config.cameras(scene.bound)
    device = scene_device(scene)
    vertices, faces, size = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces), config.size
    total, weight = torch.zeros(len(points), 3), torch.zeros(len(points), 1)
    for i in range(len(cameras)):
        camera = cameras[i : i + 1]
        render = scene.render(camera.to(device), size, size)
        depth = rasterize(project(camera, vertices, size, size), faces, size, size).depth[0]
        # what is not covered lies infinitely far away; a rim of it must not hide its neighbours
        depth = torch.where(depth > 0, depth, torch.full_like(depth, torch.inf))
        place = project(camera, points, size, size)[0]  # [N, 3]
        column, row = (place[:, k].long().clamp(0, size - 1) for k in (0, 1))
        towards = F.normalize(camera.c2w()[0, :3, 3] - points, dim=-1)
        cosine = (towards * normals).sum(-1)
        grid = (place[:, :2] / size * 2 - 1)[None, None]
        picture = torch.cat([render.rgb, render.opacity, render.depth], 1).float().cpu()
        shown = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)[0, :, 0].T  # [N, 5]
        visible = place[:, 2] < depth[row, column] + DEPTH_TOLERANCE * scene.bound
        distance = (camera.c2w()[0, :3, 3] - points).norm(dim=-1)
        visible &= (shown[:, 4] - distance).abs() < SHELL * scene.bound
        counts = visible & (cosine > MIN_COSINE) & (shown[:, 3] > MIN_OPACITY)
        w = (cosine.clamp(min=0) ** 2 * counts)[:, None]
        total += torch.where(w > 0, w * shown[:, :3], 0.0)
        weight += w
        on_progress((i + 1) / len(cameras))
    colors = total / weight.clamp(min=1e-12)
    unseen = weight[:, 0] == 0
    colors[unseen] = query_colors(scene, points[unseen])
    if not bool(torch.isfinite(colors).all()):
        raise RuntimeError(
            "Renders of the scene are NaN or infinite on its surface. The optimisation has diverged: take an earlier "
            "scene, or run again with a lower learning rate."
        )
    return colors.clamp(0, 1)


@torch.no_grad()
def bake(
    scene: Scene3D,
    mesh: Mesh,  # with uvs
    size: int,  # texels along each side
    config: BakeConfig | None = None,
    on_progress: Callable[[float], None] = lambda done: None,
) -> np.ndarray:
    """The texture [size, size, 3] in [0, 1] of a mesh cut from `scene`; texels off the surface repeat the nearest one.

    Raises:
        ValueError: the mesh has no uvs, or no texel lies on it.
        RuntimeError: colours that are not finite.
    """
    fragments = texel_fragments(mesh, size, size)
    known = fragments.face[0] >= 0
    both = torch.from_numpy(np.concatenate([mesh.vertices, mesh.vertex_normals()], 1))
    places = interpolate(both, torch.from_numpy(mesh.faces), fragments)[0][known]  # [K, 6]
    normals = F.normalize(places[:, 3:], dim=-1)
    texture = torch.zeros(size, size, 3)
    texture[known] = seen_colors(scene, mesh, places[:, :3], normals, config or BakeConfig(), on_progress)
    return dilate(texture, known).numpy()


def bake_vertices(
    scene: Scene3D,
    mesh: Mesh,
    config: BakeConfig | None = None,
    on_progress: Callable[[float], None] = lambda done: None,
) -> np.ndarray:
    """The same for the vertices alone: colours [N, 3]."""
    points, normals = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.vertex_normals())
    return seen_colors(scene, mesh, points, normals, config or BakeConfig(), on_progress).numpy()
