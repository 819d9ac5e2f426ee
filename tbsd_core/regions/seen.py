"""The parts of a surface or of splats that cameras see: places that nothing hides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.rays import ray_lengths
from ..mesh.mesh import Mesh
from ..renderer.rasterize import project, rasterize
from ..scenes import GaussianScene
from .masks import EMPTY, chosen

SIZE = 512  # pixels of a view without a mask
MIN_COSINE = 0.2  # of the angle between normal and view, as in mesh.bake: flatter views show nothing
TOLERANCE = 0.02  # of the bound: a place so little behind what the camera sees is not hidden
DEEP = 0.06  # of the bound, for splats, which have a thickness
MIN_OPACITY = 0.5


@torch.no_grad()
def seen_of_mesh(
    mesh: Mesh,
    cameras: Cameras,  # B
    points: Tensor,  # [K, 3] on it
    normals: Tensor,  # [K, 3] unit
    face: Tensor,  # [K] that each point lies on
    bound: float,
    mask: Tensor | None = None,  # [H, W] in [0, 1]
) -> Tensor:
    """Which points any of the cameras sees, by the depth of the nearest triangle, inside a mask of its pixels: [K].
    Renders show both sides of a surface; behind a thin wall, its other side is hidden.

    Raises:
        ValueError: an empty mask, or cameras that see none.
    """
    inside, (height, width) = _pixels(mask)
    seen = torch.zeros(len(points), dtype=torch.bool)
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    a, b, c = vertices[faces].unbind(1)
    across = torch.linalg.cross(b - a, c - a)
    for i in range(len(cameras)):
        camera = cameras[i : i + 1].to("cpu")
        shown = rasterize(project(camera, vertices, height, width), faces, height, width)
        depth = shown.depth[0]
        depth = torch.where(depth > 0, depth, torch.inf)  # a rim that is not covered hides nothing
        row, column, far, is_inside = _at(camera, points, height, width)
        eye = camera.c2w()[0, :3, 3]
        squarely = (F.normalize(eye - points, dim=-1) * normals).sum(-1).abs() > MIN_COSINE
        faces_it = ((eye - a) * across).sum(-1) > 0
        nearest = shown.face[0][row, column]
        one_side = faces_it[face] == (faces_it[nearest.clamp(min=0)] | (nearest < 0))
        # the farthest of the pixels around: between two pixels a slope has another depth than at either
        behind = F.max_pool2d(depth.clamp(max=1e6)[None, None], 3, 1, 1)[0, 0]
        seen |= (
            is_inside
            & inside[row, column]
            & squarely
            & one_side
            & (far < behind[row, column] + TOLERANCE * bound)
            & (far < depth[row, column] + 4 * TOLERANCE * bound)
        )
    return _some(seen)


@torch.no_grad()
def seen_of_splats(scene: GaussianScene, cameras: Cameras, mask: Tensor | None = None) -> Tensor:
    """Which Gaussians [N] any of the cameras sees: their centre lies at, or before, the depth that a view shows.

    Raises as `seen_of_mesh`.
    """
    inside, (height, width) = _pixels(mask, SIZE // 2)
    means = scene.splats().means.detach().cpu()
    seen = torch.zeros(len(means), dtype=torch.bool)
    for i in range(len(cameras)):
        camera = cameras[i : i + 1]
        render = scene.render(camera, height, width)
        camera = camera.to("cpu")
        axial = render.depth.cpu() / ray_lengths(camera, height, width)
        depth = torch.where(render.opacity.cpu() > MIN_OPACITY, axial, torch.inf)[0, 0]
        row, column, far, is_inside = _at(camera, means, height, width)
        seen |= is_inside & inside[row, column] & (far < depth[row, column] + DEEP * scene.bound)
    return _some(seen)


def _pixels(mask: Tensor | None, size: int = SIZE) -> tuple[Tensor, tuple[int, int]]:
    """Which pixels of a view count, and how many it has along each side."""
    inside = torch.ones(size, size, dtype=torch.bool) if mask is None else chosen(mask)
    height, width = inside.shape
    return inside, (height, width)


def _at(camera: Cameras, points: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, column, distance along the viewing direction, and whether it is in the picture, of points [K, 3]."""
    place = project(camera, points, height, width)[0]
    column, row = place[:, 0].floor().long(), place[:, 1].floor().long()
    is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (place[:, 2] > 0)
    return row.clamp(0, height - 1), column.clamp(0, width - 1), place[:, 2], is_inside


def _some(seen: Tensor) -> Tensor:
    if not bool(seen.any()):
        raise ValueError(EMPTY.format("the view, with its mask, shows nothing of the object"))
    return seen
