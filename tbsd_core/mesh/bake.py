"""The colours of a field as the texture of its surface, taken from the field's own renders.

A render does not show a surface: each pixel composites a shell of the field, so the colour that was seen, and
optimised, is not the field's colour AT the surface. The texture is therefore the mean of views from all around at each
texel, weighted by how squarely each view looks at it. Texels that no view shows get the field's colour.
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
from .uv import BAND_TEXELS, dilate, texel_bands

DISTANCE, FOV_Y = 3.0, 36.0  # cameras in units of the bound: the whole ball is in every picture
MIN_COSINE = 0.2  # of the angle between normal and view; flatter views smear a pixel over many texels
MIN_OPACITY = 0.95  # pixels that let more of the background through do not count
DEPTH_TOLERANCE = 0.02  # of the bound; a place farther behind what the camera sees than that is hidden
SHELL = 0.1  # of the bound; where the render's depth is farther from the place, its pixel mixes near and far things


@dataclass(frozen=True, kw_only=True)
class BakeConfig:
    """The views from which the field is seen."""

    views: int = setting(8, at_least=1)  # around the object at each elevation
    elevations: tuple[float, ...] = setting((-30.0, 15.0, 50.0), at_least=-90, at_most=90)  # degrees
    size: int = setting(256, at_least=8)  # pixels of a view

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.elevations:
            raise ValueError("elevations must be one or more angles, got none.")

    def cameras(self, bound: float) -> Cameras:
        """Rings of views, and one view from straight above and below."""
        rings = [(self.views, e) for e in self.elevations] + [(1, 90.0), (1, -90.0)]
        parts = [orbit(n, e, DISTANCE * bound, FOV_Y) for n, e in rings]
        names = ("azimuth", "elevation", "distance", "fov_y")
        return Cameras(*(torch.cat([getattr(p, name) for p in parts]) for name in names))


@dataclass(frozen=True)
class View:
    """One camera's view of the scene."""

    camera: Cameras  # one
    picture: Tensor  # [1, 5, H, W]: colour, opacity, distance along the ray
    depth: Tensor  # [H, W] of the mesh along the viewing direction, infinite beside it


@torch.no_grad()
def look_around(
    scene: Scene3D,
    mesh: Mesh,
    config: BakeConfig,
    on_progress: Callable[[float], None] = lambda done: None,  # in [0, 1]; may raise to stop
) -> list[View]:
    """Renders of the scene from all sides, on the CPU."""
    cameras, size = config.cameras(scene.bound), config.size
    device = scene_device(scene)
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    views = []
    for i in range(len(cameras)):
        camera = cameras[i : i + 1]
        render = scene.render(camera.to(device), size, size)
        depth = rasterize(project(camera, vertices, size, size), faces, size, size).depth[0]
        # pixels without surface lie infinitely far away; a rim of them must not hide its neighbours
        depth = torch.where(depth > 0, depth, torch.full_like(depth, torch.inf))
        views.append(View(camera, torch.cat([render.rgb, render.opacity, render.depth], 1).float().cpu(), depth))
        on_progress((i + 1) / len(cameras))
    return views


@torch.no_grad()
def seen_colors(
    scene: Scene3D,
    views: list[View],
    points: Tensor,  # [N, 3] on the mesh
    normals: Tensor,  # [N, 3] unit, outwards
) -> Tensor:
    """Colours [N, 3] in [0, 1] that views of the scene show at the points, on the CPU.

    Raises:
        RuntimeError: colours that are not finite.
    """
    total, weight = torch.zeros(len(points), 3), torch.zeros(len(points), 1)
    for view in views:
        height, width = view.depth.shape
        place = project(view.camera, points, height, width)[0]  # [N, 3]
        column, row = place[:, 0].long().clamp(0, width - 1), place[:, 1].long().clamp(0, height - 1)
        eye = view.camera.c2w()[0, :3, 3]
        cosine = (F.normalize(eye - points, dim=-1) * normals).sum(-1)
        grid = (place[:, :2] / torch.tensor([width, height]) * 2 - 1)[None, None]
        shown = F.grid_sample(view.picture, grid, padding_mode="border", align_corners=False)[0, :, 0].T  # [N, 5]
        visible = place[:, 2] < view.depth[row, column] + DEPTH_TOLERANCE * scene.bound
        visible &= (shown[:, 4] - (eye - points).norm(dim=-1)).abs() < SHELL * scene.bound
        counts = visible & (cosine > MIN_COSINE) & (shown[:, 3] > MIN_OPACITY)
        w = (cosine.clamp(min=0) ** 2 * counts)[:, None]
        total += torch.where(w > 0, w * shown[:, :3], 0.0)
        weight += w
    colors = total / weight.clamp(min=1e-12)
    unseen = weight[:, 0] == 0
    colors[unseen] = query_colors(scene, points[unseen])
    if not bool(torch.isfinite(colors).all()):
        raise RuntimeError(
            "Renders of the scene are NaN or infinite on its surface. The optimisation has diverged: use an "
            "earlier scene, or run again with a lower learning rate."
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
    views = look_around(scene, mesh, config or BakeConfig(), lambda done: on_progress(0.4 * done))
    both = torch.from_numpy(np.concatenate([mesh.vertices, mesh.vertex_normals()], 1))

    def color(places: Tensor) -> Tensor:
        return seen_colors(scene, views, places[:, :3], F.normalize(places[:, 3:], dim=-1))

    return paint_texels(mesh, (size, size), both, color, lambda done: on_progress(0.4 + 0.6 * done))[0]


@torch.no_grad()
def paint_texels(
    mesh: Mesh,  # with uvs
    size: tuple[int, int],  # texels: rows, columns
    attributes: Tensor,  # [N, A] of its vertices
    color: Callable[[Tensor], Tensor],  # [K, A] between the vertices -> [K, 3]
    on_progress: Callable[[float], None],
) -> tuple[np.ndarray, float]:
    """A texture [height, width, 3] of colours at the places of its texels, and the part of it that shows the surface.

    Raises:
        ValueError: the mesh has no uvs, or no texel lies on it.
    """
    height, width = size
    texture, known = torch.zeros(height, width, 3), torch.zeros(height, width, dtype=torch.bool)
    faces = torch.from_numpy(mesh.faces)
    for rows, shown, fragments in texel_bands(mesh, height, width):
        known[rows] = shown
        texture[rows][shown] = color(interpolate(attributes, faces, fragments)[0][shown])
        on_progress(0.7 * rows.stop / height)
    covered = float(known.float().mean())
    return dilate(texture, known, lambda done: on_progress(0.7 + 0.3 * done)).numpy(), covered


def bake_vertices(
    scene: Scene3D,
    mesh: Mesh,
    config: BakeConfig | None = None,
    on_progress: Callable[[float], None] = lambda done: None,
) -> np.ndarray:
    """The same for the vertices alone: colours [N, 3]."""
    views = look_around(scene, mesh, config or BakeConfig(), lambda done: on_progress(0.5 * done))
    points, normals = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.vertex_normals())
    colors = torch.zeros(len(points), 3)
    for start in range(0, len(points), BAND_TEXELS):
        some = slice(start, start + BAND_TEXELS)
        colors[some] = seen_colors(scene, views, points[some], normals[some])
        on_progress(0.5 + 0.5 * min(1.0, some.stop / len(points)))
    return colors.numpy()
