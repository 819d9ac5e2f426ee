"""One set of pictures and factors for all faces of a GLB, whatever materials they have.

One material keeps its pictures. Materials that share their texture coordinates without overlap (an atlas) keep the
coordinates, and each part of a combined picture comes from the material whose faces lie there. Pictures of other
materials go side by side into a larger one, and the texture coordinates follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..optional import require
from .factors import bare, common_factors, factors_differ, multiplied, tables
from .look import WORDS, Look, dropped_of
from .pictures import MAX_TEXTURE, declared_size, unpacked

MAPS = ("metallic_roughness", "normal_map", "emissive")
MAX_LOOKS, MAX_PIXELS = 64, 1 << 29  # that are unpacked for a file of several materials
MAX_DRAWN = 500_000  # faces
MAX_OVERLAP = 0.01  # of the texels of two materials
EDGE = 4  # texels around each picture in a larger one, so that its neighbours do not bleed into it
BARE_SIZE = 256  # of maps that are made of factors alone
TOLERANCE = 1e-4


@dataclass
class Skin:
    """The look that all faces share.

    Args:
        uvs: of each part, if they have changed.
        base: the number of the base colour's image, if it is used unchanged; texture: the picture, if it was made.
        fits: False if faces have different base colours that cannot be put together.
        lost: the names of factors in which the materials differ, and that are not kept.
        tinted: no material has a picture of its base colour, and they differ in its factor, which `factors` lacks.
    """

    maps: dict[str, np.ndarray] = field(default_factory=dict)  # [H, W, 3] uint8
    factors: dict[str, Any] = field(default_factory=dict)
    has_occlusion: bool = False
    unlit: bool = False
    uvs: list[np.ndarray] | None = None
    base: int | None = None
    texture: np.ndarray | None = None
    fits: bool = True
    tinted: bool = False
    lost: list[str] = field(default_factory=list)
    report: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """The part of a mesh that a look belongs to."""

    look: Look
    uvs: np.ndarray | None  # [N, 2]
    faces: np.ndarray  # [M, 3]


def skin_of(pieces: Sequence[Piece], images: dict[int, bytes], colors: bool) -> Skin:
    """Put the looks of all pieces together.

    Args:
        images: packed pictures by their numbers.
        colors: whether the base colour is unpacked where it must be made.
    """
    looks = list(dict.fromkeys(piece.look for piece in pieces))
    bases = {look.images.get("base_color") for look in looks}
    skin = Skin(base=next(iter(bases)) if len(bases) == 1 else None, unlit=all(look.unlit for look in looks))
    skin.report = dropped_of(piece.look for piece in pieces)
    has_uvs = all(piece.uvs is not None for piece in pieces)
    names = [
        name
        for name in MAPS
        if len({look.images.get(name) for look in looks}) > 1 or (len(looks) > 1 and factors_differ(looks, name))
    ]
    recolored = bases != {None} and factors_differ(looks, "base_color")  # the pictures must have the factors in them
    masks, tiles = None, None
    if names or len(bases) > 1 or recolored:
        reason = _too_much(looks, images) if has_uvs else "its objects do not all have texture coordinates"
        if not reason and len(bases) == 1:
            masks = _areas(looks, pieces)
        if not reason and masks is None and (len(bases) > 1 or bases == {None} or recolored):
            tiles = _Tiles.of(looks, pieces, images)
        if masks is None and tiles is None:
            skin.fits = len(bases) == 1
            names_lost = [WORDS[n] for n in names if any(n in look.images for look in looks)]
            if names_lost and has_uvs:
                why = reason or "their texture coordinates repeat the pictures or overlap"
                skin.report.append(f"not kept: {', '.join(names_lost)}, in which its materials differ ({why})")
    made: set[str] = set()  # with factors in them
    if not has_uvs and (found := [WORDS[n] for n in MAPS if any(n in look.images for look in looks)]):
        skin.report.append(f"not kept: {', '.join(found)} (there are no texture coordinates that say where they go)")
    for name in MAPS:
        if not has_uvs or (name in names and masks is None and tiles is None):
            continue
        try:
            if masks is not None and name in names:
                picture, said = _by_area(looks, name, images, masks)
            elif tiles is not None:
                picture, said = tiles.picture(looks, name, images)
            else:
                picture, said = _as_it_is(looks[0], name, images)
        except ValueError as error:
            skin.report.append(f"its {WORDS[name]} is not kept: {error}")
            continue
        skin.report += [said] if said else []
        if picture is not None:
            skin.maps[name] = picture
            made |= {name} if name in names and factors_differ(looks, name) else set()
    if tiles is not None:
        skin.uvs = [tiles.moved(looks.index(piece.look), piece) for piece in pieces]
        skin.report.append(f"{len(looks)} materials put into one texture of {tiles.shape[1]:,} x {tiles.shape[0]:,}")
    if bases != {None} and (tiles is not None or (masks is not None and recolored)):
        made |= {"base_color"} if recolored else set()
        skin.base = None
        if colors and masks is not None:
            skin.texture = _by_area(looks, "base_color", images, masks)[0]
        elif colors and tiles is not None:
            skin.texture = tiles.picture(looks, "base_color", images)[0]
    skin.tinted = bases == {None} and factors_differ(looks, "base_color")
    made |= {"base_color"} if skin.tinted else set()
    skin.factors, skin.lost = common_factors(looks, made)
    if skin.lost:
        skin.report.append(f"not kept: {', '.join(skin.lost)}, in which its materials differ")
    has = "metallic_roughness" in skin.maps
    skin.has_occlusion = has and any(look.has_occlusion for look in looks)
    return skin


def _as_it_is(look: Look, name: str, images: dict[int, bytes]) -> tuple[np.ndarray | None, str]:
    if name not in look.images:
        return None, ""
    picture, said = unpacked(_packed(images, look.images[name]), pixels=True)
    return picture, said.replace("texture", WORDS[name], 1)


def _packed(images: dict[int, bytes], index: int) -> bytes:
    if index not in images:
        raise ValueError("the file does not have it")
    return images[index]


def _too_much(looks: Sequence[Look], images: dict[int, bytes]) -> str:
    """Why the pictures of several looks are not put together; "" if they can be. Only their headers are read."""
    if len(looks) > MAX_LOOKS:
        return f"it has {len(looks):,} materials; at most {MAX_LOOKS} are put together"
    try:
        sizes = [declared_size(_packed(images, index)) for look in looks for index in look.images.values()]
    except ValueError as error:
        return str(error)
    if (n_pixels := sum(math.prod(size) for size in sizes)) > MAX_PIXELS:
        return f"they have {n_pixels:,} pixels; at most {MAX_PIXELS:,} are put together"
    return ""


def _areas(looks: Sequence[Look], pieces: Sequence[Piece]) -> np.ndarray | None:
    """Which look each texel of a texture shows, [H, W] uint8, 0 is none; None if looks overlap or leave the texture."""
    size = 1024
    pil, draw, filters = (require(f"PIL.{name}", "pillow") for name in ("Image", "ImageDraw", "ImageFilter"))
    if sum(len(piece.faces) for piece in pieces) > MAX_DRAWN:
        return None
    shown = np.zeros((size, size), dtype=np.uint8)
    inner, n_twice = np.zeros((size, size), dtype=bool), 0
    for number, look in enumerate(looks, 1):
        canvas = pil.new("L", (size, size))
        brush = draw.Draw(canvas)
        for piece in pieces:
            if piece.look != look or piece.uvs is None or not len(piece.faces):
                continue
            if not (np.isfinite(piece.uvs).all() and (abs(piece.uvs - 0.5) <= 0.5 + TOLERANCE).all()):
                return None
            for corners in (piece.uvs[piece.faces].astype(np.float64) * size - 0.5).reshape(-1, 6).tolist():
                brush.polygon(corners, fill=1)
        own = np.asarray(canvas, dtype=bool)
        wide = np.asarray(canvas.filter(filters.MaxFilter(5)), dtype=bool) & (shown == 0)
        n_twice += int((inner & own).sum())
        inner |= own
        shown[own | wide] = number
    return shown if n_twice <= MAX_OVERLAP * max(int(inner.sum()), 1) else None


def _by_area(
    looks: Sequence[Look], name: str, images: dict[int, bytes], shown: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """A map in which each look has its own where its faces are."""
    pil: Any = require("PIL.Image", "pillow")
    sizes = [declared_size(_packed(images, x.images[name])) for x in looks if name in x.images]
    width, height = (min(MAX_TEXTURE, max([s[k] for s in sizes] or [BARE_SIZE])) for k in (0, 1))
    area = np.asarray(pil.fromarray(shown).resize((width, height), pil.Resampling.NEAREST))
    made = None
    for number, look in enumerate(looks, 1):
        picture = _own(looks, look, name, images, (width, height))
        made = picture.copy() if made is None else made
        made[area == number] = picture[area == number]
    return made, ""


def _own(looks: Sequence[Look], look: Look, name: str, images: dict[int, bytes], size: tuple[int, int]) -> np.ndarray:
    """The picture [H, W, 3] of one look in this size (width, height), with its factors where they differ."""
    pil: Any = require("PIL.Image", "pillow")
    values = unpacked(_packed(images, look.images[name]), pixels=True)[0] if name in look.images else bare(name)
    assert values is not None
    if factors_differ(looks, name):
        values = multiplied(values, tables(looks, look, name))
    if values.shape[:2] == size[::-1]:
        return values
    whole = all(n % m == 0 for n, m in zip(size[::-1], values.shape[:2], strict=True))
    how = pil.Resampling.NEAREST if whole else pil.Resampling.BILINEAR
    return np.asarray(pil.fromarray(values).resize(size, how))


@dataclass(frozen=True)
class _Tiles:
    """Pictures of one size side by side."""

    columns: int
    rows: int
    size: tuple[int, int]  # width, height of each, without its edge

    @property
    def shape(self) -> tuple[int, int]:
        return (self.size[1] + 2 * EDGE) * self.rows, (self.size[0] + 2 * EDGE) * self.columns

    @classmethod
    def of(cls, looks: Sequence[Look], pieces: Sequence[Piece], images: dict[int, bytes]) -> _Tiles | None:
        """The tiles of several looks; None if texture coordinates repeat a picture."""
        for piece in pieces:
            if piece.uvs is None or not len(piece.uvs) or not np.isfinite(piece.uvs).all():
                return None
            if piece.look.pictures and _whole_turns(piece.uvs).max(initial=0) > 1 + TOLERANCE:
                return None
        sizes = [declared_size(_packed(images, index)) for look in looks for index in look.images.values()]
        columns = math.ceil(math.sqrt(len(looks)))
        rows = math.ceil(len(looks) / columns)
        width, height = (max([s[k] for s in sizes] or [BARE_SIZE // columns]) for k in (0, 1))
        while (width + 2 * EDGE) * columns > MAX_TEXTURE or (height + 2 * EDGE) * rows > MAX_TEXTURE:
            width, height = max(1, width // 2), max(1, height // 2)
        return cls(columns, rows, (width, height))

    def moved(self, number: int, piece: Piece) -> np.ndarray:
        """Texture coordinates in the larger picture."""
        assert piece.uvs is not None
        uvs = _whole_turns(piece.uvs.astype(np.float64))
        if not piece.look.pictures:  # all of its tile is alike
            low, high = uvs.min(0), uvs.max(0)
            uvs = (uvs - low) / np.maximum(high - low, 1e-12)
        row, column = divmod(number, self.columns)
        corner = [column * (self.size[0] + 2 * EDGE) + EDGE, row * (self.size[1] + 2 * EDGE) + EDGE]
        return ((uvs * self.size + corner) / self.shape[::-1]).astype(np.float32)

    def picture(self, looks: Sequence[Look], name: str, images: dict[int, bytes]) -> tuple[np.ndarray | None, str]:
        """The pictures of all looks, each with its border repeated around it; None if no look has one."""
        if not any(name in look.images for look in looks) and (name == "base_color" or not factors_differ(looks, name)):
            return None, ""
        made = np.zeros((*self.shape, 3), dtype=np.uint8)
        width, height = self.size
        for number, look in enumerate(looks):
            own = _own(looks, look, name, images, self.size)
            row, column = divmod(number, self.columns)
            y, x = row * (height + 2 * EDGE), column * (width + 2 * EDGE)
            framed = np.pad(own, ((EDGE, EDGE), (EDGE, EDGE), (0, 0)), mode="edge")
            made[y : y + framed.shape[0], x : x + framed.shape[1]] = framed
        return made, ""


def _whole_turns(uvs: np.ndarray) -> np.ndarray:
    """Texture coordinates without the whole numbers that all have in common."""
    return uvs - np.floor(uvs.min(0) + TOLERANCE)
