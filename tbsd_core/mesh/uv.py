"""Texture coordinates: unwrapping with xatlas, and what every texel shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..native import run_native
from ..optional import require
from ..renderer.rasterize import Fragments, rasterize
from .mesh import Mesh

XATLAS = "xatlas"


@dataclass(frozen=True, kw_only=True)
class UVConfig:
    """How a surface is laid out in its texture."""

    size: int = 1024  # texels along each side
    padding: int = 3  # texels between charts; linear filtering and mipmaps bleed over fewer

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 8192:
            raise ValueError(f"UVConfig: size must lie in [16, 8192], got {self.size}.")
        if not 0 <= self.padding <= self.size // 8:
            raise ValueError(f"UVConfig: padding must lie in [0, size / 8], got {self.padding}.")


def unwrap(mesh: Mesh, config: UVConfig | None = None) -> Mesh:
    """The mesh with new uvs in one square of charts that do not overlap; vertices on seams are doubled.

    Colours are kept, a texture is not (it belonged to other uvs). Raises what `unwrap_copies` does.
    """
    flat, source = unwrap_copies(mesh, config)
    return flat if mesh.colors is None else replace(flat, colors=mesh.colors[source])


def unwrap_copies(mesh: Mesh, config: UVConfig | None = None) -> tuple[Mesh, np.ndarray]:
    """The unwrapped shape alone, and which of the given vertices each of its N vertices is a copy of, [N] int64.

    Raises:
        ImportError: xatlas is missing; with its pip line.
        ValueError: the mesh has no face with an area.
    """
    config = config or UVConfig()
    xatlas = require(XATLAS)
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1)
    if not (area > 0).any():
        raise ValueError(f"Cannot unwrap a mesh of {len(mesh.faces)} faces none of which has an area.")
    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    options = xatlas.PackOptions()
    options.padding = config.padding
    options.resolution = config.size
    options.bilinear = True
    atlas.generate(pack_options=options)
    source, faces, uvs = atlas[0]
    source = source.astype(np.int64)
    # square, so that a texel is as wide as it is high, and as large as the padding was counted in
    side = max(atlas.width, atlas.height)
    uvs = uvs.astype(np.float64) * [atlas.width / side, atlas.height / side]
    return Mesh(mesh.vertices[source], faces.astype(np.int64), uvs=uvs.astype(np.float32)), source


def texel_fragments(mesh: Mesh, height: int, width: int) -> Fragments:
    """The face and the place on it under each texel centre, with one image: [1, H, W]."""
    if mesh.uvs is None:
        raise ValueError("The mesh has no uvs; unwrap it first.")
    place = torch.from_numpy(mesh.uvs).float() * torch.tensor([width, height], dtype=torch.float32)
    points = torch.cat([place, torch.ones(len(place), 1)], -1)
    return rasterize(points[None], torch.from_numpy(mesh.faces), height, width)


def uv_overlap(mesh: Mesh, size: int = 1024) -> float:
    """Fraction of the covered texel centres that lie strictly inside more than one face."""
    if mesh.uvs is None:
        raise ValueError("The mesh has no uvs; unwrap it first.")
    covered = np.zeros((size, size), dtype=np.int32)
    corners = mesh.uvs[mesh.faces].astype(np.float64) * size
    for a, b, c in corners:
        x0, y0 = np.ceil(np.minimum(np.minimum(a, b), c) - 0.5).astype(int).clip(0)
        x1, y1 = np.floor(np.maximum(np.maximum(a, b), c) - 0.5).astype(int).clip(max=size - 1)
        if x1 < x0 or y1 < y0:
            continue
        py, px = np.mgrid[y0 : y1 + 1, x0 : x1 + 1] + 0.5
        signs = [(q[0] - p[0]) * (py - p[1]) - (q[1] - p[1]) * (px - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        inside = np.all(np.stack(signs) > 1e-9, 0) | np.all(np.stack(signs) < -1e-9, 0)
        covered[y0 : y1 + 1, x0 : x1 + 1] += inside
    return float((covered > 1).sum() / max(1, (covered > 0).sum()))


def dilate(
    texture: Tensor,  # [H, W, C]
    known: Tensor,  # [H, W] bool, texels that show the surface
    on_wait: Callable[[float], None] = lambda done: None,  # may raise to stop
) -> Tensor:
    """Give every other texel the value of the nearest known one, so that filtering at seams reads no background.

    Raises:
        ValueError: no texel is known.
        NativeFailure: there is too little time or memory for so large a texture.
    """
    if not known.any():
        raise ValueError("No texel of the texture lies on the surface; use a larger texture.")
    index = run_native("nearest", {"known": known.cpu().numpy()}, on_wait=on_wait)["index"]
    return texture.flatten(0, 1)[torch.from_numpy(index).to(texture.device)]
