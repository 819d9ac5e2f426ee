"""Texture coordinates: unwrapping with xatlas, and the place of every texel on the surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..native import Limits, NativeFailure, run_native
from ..optional import require
from ..renderer.rasterize import Fragments, rasterize
from .mesh import Mesh

XATLAS = "xatlas"
WHOLE = 10_000  # triangles at most that xatlas gets in one piece; of many more it makes large charts slowly, or crashes
PART = (500, 4000)  # triangles at least and at most in each piece of a larger mesh; 500 are the fastest
PART_TEXELS = 24  # along a piece at least, where PART allows; smaller ones are mostly padding
# 1.3 million noisy triangles take five minutes on two busy cores; progress is shown, and Cancel works
LIMITS = Limits(seconds=900)
TRIANGLE_TEXELS = 5  # along a leg of a triangle that has a chart to itself; fewer say less than its corners' colours
BAND_TEXELS = 1 << 17  # between two looks at Cancel


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


def unwrap_copies(
    mesh: Mesh, config: UVConfig | None = None, on_wait: Callable[[float], None] = lambda done: None
) -> tuple[Mesh, np.ndarray]:
    """The unwrapped shape alone, and which of the given vertices each of its N vertices is a copy of, [N] int64.

    Args:
        on_wait: called about ten times a second with the progress in [0, 1]; may raise to stop.

    Raises:
        ImportError: xatlas is missing; with its pip line.
        ValueError: the mesh has no face with an area.
        NativeFailure: xatlas crashed, or took too much time or memory.
    """
    config = config or UVConfig()
    require(XATLAS)
    n_faces = len(mesh.faces)
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    if not np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).any():
        raise ValueError(f"Cannot unwrap a mesh of {n_faces} faces none of which has an area.")
    part = min(max(n_faces * PART_TEXELS**2 // config.size**2, PART[0]), PART[1])
    inputs = {"vertices": mesh.vertices, "faces": mesh.faces, "size": config.size, "padding": config.padding}
    made = None
    if n_faces <= WHOLE:
        try:
            made = run_native("unwrap", {**inputs, "part_faces": WHOLE}, on_wait=on_wait, limits=LIMITS)
        except NativeFailure as failure:
            if failure.reason == "start":
                raise
    if made is None:
        made = run_native("unwrap", {**inputs, "part_faces": part}, on_wait=on_wait, limits=LIMITS)
    source = made["source"]
    return Mesh(mesh.vertices[source], made["faces"], uvs=made["uvs"]), source


def unwrap_or_cut_up(
    mesh: Mesh, config: UVConfig, on_wait: Callable[[float], None] = lambda done: None
) -> tuple[Mesh, np.ndarray, str]:
    """`unwrap_copies`, or `triangle_charts` if xatlas fails; the third is then a sentence about it, else "".

    Raises:
        NativeFailure: xatlas failed, and the texture has no room for so many charts.
    """
    try:
        return *unwrap_copies(mesh, config, on_wait), ""
    except NativeFailure as failure:
        try:
            flat, source = triangle_charts(mesh, config.size)
        except ValueError as error:
            raise NativeFailure(failure.reason, f"{failure} {error}") from failure
        return flat, source, f"Every triangle has a patch of the texture to itself, because {failure}"


def triangle_charts(mesh: Mesh, size: int) -> tuple[Mesh, np.ndarray]:
    """Two triangles in every cell of a square grid, as `unwrap_copies` returns it. Nothing overlaps, and between any
    two triangles lie at least two texels; but all of them are of one size, and every edge is a seam.

    Raises:
        ValueError: less than TRIANGLE_TEXELS texels would remain along the legs of a triangle.
    """
    n_cells = int(np.ceil(np.sqrt(len(mesh.faces) / 2)))
    cell = size // n_cells
    leg = cell - 4  # a texel along each edge of the cell, two between the triangles
    if leg < TRIANGLE_TEXELS:
        raise ValueError(
            f"A texture of {size} x {size} has no room for {len(mesh.faces):,} triangles one by one; a larger one may."
        )
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    lengths = np.linalg.norm(corner - np.roll(corner, -1, axis=1), axis=-1)
    # the longest edge becomes the diagonal: the right angle is the corner opposite to it
    turn = (lengths.argmax(1)[:, None] + [2, 0, 1]) % 3
    faces = np.take_along_axis(mesh.faces, turn, axis=1)
    n = np.arange(len(faces))
    column, row = n // 2 % n_cells, n // 2 // n_cells
    low = np.array([[0, 0], [leg, 0], [0, leg]], dtype=np.float64) + 1
    shape = np.where((n % 2 == 0)[:, None, None], low, cell - low)
    uvs = (np.stack([column, row], -1)[:, None] * cell + shape) / size
    source = faces.reshape(-1)
    made = np.arange(len(source)).reshape(-1, 3)
    return Mesh(mesh.vertices[source], made, uvs=uvs.reshape(-1, 2).astype(np.float32)), source


def texel_fragments(mesh: Mesh, height: int, width: int) -> Fragments:
    """The face and the place on it under each texel centre, with one image: [1, H, W]."""
    place, faces = _texel_places(mesh, height, width), torch.from_numpy(mesh.faces)
    return rasterize(place[None], faces, height, width)


def texel_bands(
    mesh: Mesh,
    height: int,
    width: int,
) -> Iterator[tuple[slice, Tensor, Fragments]]:
    """The same for bands of rows, one after the other: a large texture takes gigabytes at once.

    Yields:
        which rows; which of their texels show the surface [h, width] bool; fragments [1, h, width].
    """
    place, faces = _texel_places(mesh, height, width), torch.from_numpy(mesh.faces)
    y = place[:, 1][faces]
    top, bottom = y.amin(1), y.amax(1)
    n_rows = max(1, BAND_TEXELS // width)
    for first in range(0, height, n_rows):
        rows = slice(first, min(height, first + n_rows))
        inside = ((top < rows.stop) & (bottom > rows.start)).nonzero()[:, 0]
        moved = (place - torch.tensor([0.0, first, 0.0]))[None]
        part = rasterize(moved, faces[inside], rows.stop - first, width)
        known = part.face[0] >= 0
        face = part.face if not len(inside) else torch.where(part.face >= 0, inside[part.face.clamp(min=0)], -1)
        yield rows, known, replace(part, face=face)


def _texel_places(mesh: Mesh, height: int, width: int) -> Tensor:
    """Where the vertices lie in the texture, [N, 3] in texels, with the depth of a flat picture."""
    if mesh.uvs is None:
        raise ValueError("The mesh has no uvs; unwrap it first.")
    place = torch.from_numpy(mesh.uvs).float() * torch.tensor([width, height], dtype=torch.float32)
    return torch.cat([place, torch.ones(len(place), 1)], -1)


def uv_overlap(mesh: Mesh, size: int = 1024, on_wait: Callable[[float], None] = lambda done: None) -> float:
    """Fraction of the covered texel centres that lie strictly inside more than one face."""
    if mesh.uvs is None:
        raise ValueError("The mesh has no uvs; unwrap it first.")
    return run_native("uv_overlap", {"uvs": mesh.uvs, "faces": mesh.faces, "size": size}, on_wait=on_wait)["overlap"]


def dilate(
    texture: Tensor,  # [H, W, C]
    known: Tensor,  # [H, W] bool, texels that show the surface
    on_wait: Callable[[float], None] = lambda done: None,  # may raise to stop
) -> Tensor:
    """Give every other texel the value of the nearest known one, in place and returned, so that filtering at seams
    reads no background.

    Raises:
        ValueError: no texel is known.
        NativeFailure: there is too little time or memory for so large a texture.
    """
    if not known.any():
        raise ValueError("No texel of the texture lies on the surface; use a larger texture.")
    index = run_native("nearest", {"known": known.cpu().numpy()}, on_wait=on_wait)["index"]
    nearest = torch.from_numpy(index)[~known.cpu()].to(texture.device)
    texture[~known] = texture.flatten(0, 1).index_select(0, nearest)
    return texture
