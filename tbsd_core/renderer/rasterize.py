"""Which triangle each pixel sees: a z-buffer in plain PyTorch, for any device and without a compiler.

Visibility carries no gradient. It answers only which face lies under a pixel centre and where on it;
textures, and thereby everything that is optimised on a mesh, are read at that place differentiably.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras.pose import Cameras

CANDIDATES = 1 << 22  # pixel-triangle pairs that are tested at once; bounds the memory at about 300 MB
NEAR = 1e-3  # world units; a triangle with a corner nearer than that, or behind the camera, is not drawn


@dataclass(frozen=True)
class Fragments:
    """The triangles that the pixels of B images of H x W see.

    Args:
        face: [B, H, W] int64, index of the nearest triangle, -1 where there is none.
        barycentric: [B, H, W, 3] weights of its corners (perspective-correct, sum 1), 0 where there is none.
        depth: [B, H, W] distance along the viewing direction, 0 where there is none.
        at: [K] the pixels that see one, as indices into the flattened [B, H, W], ascending.
    """

    face: Tensor
    barycentric: Tensor
    depth: Tensor
    at: Tensor


def project(cameras: Cameras, vertices: Tensor, height: int, width: int) -> Tensor:
    """World points [N, 3] -> [B, N, 3]: pixel x (right), pixel y (down) and distance along the viewing direction.

    The centre of the upper left pixel is (0.5, 0.5), as in `camera_rays`.
    """
    c2w = cameras.c2w()
    local = torch.einsum("bji,bnj->bni", c2w[:, :3, :3], vertices[None] - c2w[:, None, :3, 3])  # R^T (p - o)
    depth = -local[..., 2]
    half = cameras.tan_half_fov()[:, None]
    safe = torch.where(depth.abs() < NEAR, torch.full_like(depth, NEAR), depth)
    scale = height / (2 * half * safe)
    return torch.stack([width / 2 + local[..., 0] * scale, height / 2 - local[..., 1] * scale, depth], -1)


@torch.no_grad()
def rasterize(
    points: Tensor,  # [B, N, 3] of `project`; for a flat picture any positive third coordinate
    faces: Tensor,  # [M, 3] int64
    height: int,
    width: int,
    cull_back: bool = False,  # drop triangles that turn clockwise on the screen: backs of a closed mesh
) -> Fragments:
    """Find the nearest triangle under every pixel centre.

    Every triangle is tested against the pixels of its bounding box, in groups of about CANDIDATES
    pairs; the nearest wins by an integer minimum over (depth, face), so the result does not depend on
    the order or the grouping, and on an edge shared by two triangles of one depth the lower index wins.
    """
    n_images, device = points.shape[0], points.device
    corner = points[:, faces]  # [B, M, 3, 3]
    x, y, z = corner.unbind(-1)  # [B, M, 3]
    area = (x[..., 1] - x[..., 0]) * (y[..., 2] - y[..., 0]) - (x[..., 2] - x[..., 0]) * (y[..., 1] - y[..., 0])
    # pixel centres lie at k + 0.5
    x0 = (x.amin(-1) - 0.5).ceil().clamp(0, width)
    x1 = (x.amax(-1) - 0.5).floor().clamp(-1, width - 1)
    y0 = (y.amin(-1) - 0.5).ceil().clamp(0, height)
    y1 = (y.amax(-1) - 0.5).floor().clamp(-1, height - 1)
    columns, rows = (x1 - x0 + 1).clamp(min=0), (y1 - y0 + 1).clamp(min=0)
    drawn = (z.amin(-1) > NEAR) & (area.abs() > 1e-12) & torch.isfinite(corner).all(-1).all(-1)
    if cull_back:
        drawn &= area < 0  # y points down on the screen, so counter-clockwise triangles have a negative area
    count = torch.where(drawn, columns * rows, torch.zeros_like(columns)).long().flatten()  # [B * M]
    corner, columns = corner.flatten(0, 1), columns.flatten().long()
    left, upper = x0.flatten().long(), y0.flatten().long()
    none = torch.iinfo(torch.int64).max
    nearest = torch.full((n_images * height * width,), none, device=device)
    until = count.cumsum(0)
    for group, before, size in _groups(until):
        triangle = torch.repeat_interleave(count[group], output_size=size) + group.start  # [K] into B * M
        k = torch.arange(before, before + size, device=device) - (until - count).index_select(0, triangle)
        n_columns = columns.index_select(0, triangle)
        px = left.index_select(0, triangle) + k % n_columns
        py = upper.index_select(0, triangle) + k // n_columns
        own = corner.index_select(0, triangle)
        weights = _screen_weights(own, px + 0.5, py + 0.5)
        depth = 1 / (weights / own[..., 2]).sum(-1)  # 1/z is linear on the screen
        # positive floats order like their bits, so one integer minimum decides by depth, then by face
        key = (depth.float().view(torch.int32).long() << 32) | (triangle % len(faces))
        key = torch.where((weights >= 0).all(-1), key, none)
        nearest.scatter_reduce_(0, (triangle // len(faces) * height + py) * width + px, key, "amin")
    at = (nearest != none).nonzero()[:, 0]
    found = nearest.index_select(0, at) & 0xFFFFFFFF
    own = corner.index_select(0, at // (height * width) * len(faces) + found)
    over_z = _screen_weights(own, at % width + 0.5, at // width % height + 0.5) / own[..., 2]
    depth = 1 / over_z.sum(-1)
    shape = (n_images, height, width)
    return Fragments(
        torch.full_like(nearest, -1).index_copy_(0, at, found).view(shape),
        points.new_zeros(len(nearest), 3).index_copy_(0, at, over_z * depth[:, None]).view(*shape, 3),
        points.new_zeros(len(nearest)).index_copy_(0, at, depth).view(shape),
        at,
    )


def _groups(
    until: Tensor,  # [T] for each triangle the number of pairs of those up to it
) -> list[tuple[slice, int, int]]:
    """Groups of triangles of about CANDIDATES pairs: the triangles, the pairs before them and their own.

    The host waits once for the number of pairs, and again where there are several groups.
    """
    n_pairs = int(until[-1]) if len(until) else 0
    if n_pairs <= CANDIDATES:
        return [(slice(0, len(until)), 0, n_pairs)] if n_pairs else []
    targets = torch.arange(CANDIDATES, n_pairs, CANDIDATES, device=until.device)
    last = torch.searchsorted(until, targets)  # the triangle that reaches each multiple of CANDIDATES
    starts, befores = torch.stack([last + 1, until[last]]).tolist()
    starts, befores = [0, *starts, len(until)], [0, *befores, n_pairs]
    edges = zip(starts, starts[1:], befores, befores[1:], strict=False)
    return [(slice(a, b), before, after - before) for a, b, before, after in edges if after > before]


def _screen_weights(
    corner: Tensor,  # [K, 3, 3]
    px: Tensor,  # [K]
    py: Tensor,  # [K]
) -> Tensor:
    """Weights [K, 3] of the corners at a place on the screen, each the part of the area opposite to its corner."""
    dx, dy = corner[..., 0] - px[:, None], corner[..., 1] - py[:, None]
    opposite = dx.roll(-1, 1) * dy.roll(-2, 1) - dx.roll(-2, 1) * dy.roll(-1, 1)
    return opposite / opposite.sum(-1, keepdim=True)


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments) -> Tensor:
    """Values [B, H, W, C] of per-vertex attributes [N, C] at the fragments; 0 where there is no face."""
    corners = attributes[faces[fragments.face.clamp(min=0)]]  # [B, H, W, 3, C]
    return (corners * fragments.barycentric[..., None]).sum(-2)
