"""The colours of a GLB's parts: pictures, factors, and the colours at their vertices, which glTF multiplies.

Beside a picture there is room for one colour of a part: it goes into the factor of its material.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..color import linear_to_srgb, srgb_to_linear
from .look import Look
from .pictures import SEVERAL, Found
from .skin import Piece, Skin, skin_of

if TYPE_CHECKING:
    from .read import Part

ALIKE = 1 / 512  # half a step of 8 bits


def colored(parts: list[Part], images: dict[int, bytes], colors: bool) -> tuple[list[Part], Skin, Found]:
    """The parts with the texture coordinates and vertex colours that they keep, the look that all share, and the packed
    picture of the base colour, if it is used unchanged.

    Args:
        images: packed pictures by their numbers.
        colors: whether a base colour is unpacked where it must be made.
    """
    sealed = [part.look.sealed for part in parts if part.look.sealed]
    is_textured = not sealed and any(part.look.images.get("base_color") in images for part in parts)
    if is_textured:
        parts = [_somewhere(part) for part in parts]
    looks = [part.look for part in parts]
    own = [_own_color(part.colors) if is_textured else None for part in parts]
    changed = [_times(look, color) for look, color in zip(looks, own, strict=True)]
    skin = _skin(parts, changed, images, colors)
    n_lost = sum(part.colors is not None and color is None for part, color in zip(parts, own, strict=True))
    is_folded = changed != looks
    if is_folded and (not skin.fits or "base_color_factor" in skin.lost):
        skin, is_folded = _skin(parts, looks, images, colors), False  # colours at vertices do not cost a texture
        n_lost += sum(old != new for old, new in zip(looks, changed, strict=True))
    if is_textured and skin.fits and n_lost:
        objects = f"{n_lost:,} object{'s' * (n_lost > 1)}"
        skin.report.append(f"not kept: the vertex colours of {objects} beside the texture. Bake them into it")
    found = _base_color(skin, images)
    if sealed:
        found = Found(problem=f"{sealed[0]}. Save its textures as PNG or JPEG")
    elif found.data is None and not found.problem and skin.texture is None:
        parts = _tinted(parts, skin.tinted)
    if skin.texture is not None or is_folded:  # else they are there for a picture that cannot be unpacked
        parts = [replace(part, colors=None) for part in parts]
    if skin.uvs is not None:
        parts = [replace(part, uvs=uvs) for part, uvs in zip(parts, skin.uvs, strict=True)]
    return parts, skin, found


def _somewhere(part: Part) -> Part:
    """A part without texture coordinates has one place of the texture, if it has no picture of its own: then its colour
    gets a tile there."""
    if part.uvs is not None or part.look.pictures:
        return part
    return replace(part, uvs=np.zeros((len(part.vertices), 2), dtype=np.float32))


def _skin(parts: Sequence[Part], looks: Sequence[Look], images: dict[int, bytes], colors: bool) -> Skin:
    pieces = [Piece(look, part.uvs, part.faces) for look, part in zip(looks, parts, strict=True)]
    return skin_of(pieces, images, colors)


def _own_color(colors: np.ndarray | None) -> np.ndarray | None:
    """The one colour [3] of a part in linear light; None if it has several, or none."""
    if colors is None or not (np.ptp(colors, axis=0) <= ALIKE).all():
        return None
    return srgb_to_linear(colors.mean(0))


def _times(look: Look, color: np.ndarray | None) -> Look:
    """A look with a colour in its factor; white leaves it as it is."""
    if color is None or (color >= 1 - ALIKE).all():
        return look
    factors = look.material
    *rgb, alpha = factors.get("base_color_factor", [1.0] * 4)
    # rounded, so that parts of one colour share a look
    factors["base_color_factor"] = [*np.round(np.array(rgb) * color, 5).tolist(), alpha]
    return replace(look, factors=json.dumps(factors))


def _base_color(skin: Skin, images: dict[int, bytes]) -> Found:
    """The packed picture of the base colour."""
    if not skin.fits:
        return SEVERAL
    if skin.base is None:
        return Found()
    return Found(images.get(skin.base), "" if skin.base in images else "its texture is not in the file")


def _tinted(parts: list[Part], by_factor: bool) -> list[Part]:
    """Parts whose colours are all at their vertices: those that they have, times the factors of their materials, where
    these differ. glTF multiplies them in linear light."""
    if not by_factor and len({part.colors is None for part in parts}) == 1:
        return parts

    def seen(part: Part) -> np.ndarray:
        colors = np.ones((len(part.vertices), 3), dtype=np.float32) if part.colors is None else part.colors
        factor = part.look.material.get("base_color_factor", [1.0] * 4)[:3] if by_factor else [1.0] * 3
        return linear_to_srgb(np.clip(srgb_to_linear(colors) * factor, 0, 1)).astype(np.float32)

    return [replace(part, colors=seen(part)) for part in parts]
