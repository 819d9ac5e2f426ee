"""The factors of several materials, multiplied into their pictures where they differ.

Pictures have 8 bits, so that each factor is a table of 256 numbers per channel.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..color import linear_to_srgb, srgb_to_linear
from .look import Look

STEPS = np.arange(256) / 255
FACTORS = {  # of each picture
    "base_color": ("base_color_factor",),
    "metallic_roughness": ("metallic_factor", "roughness_factor", "occlusion_strength"),
    "normal_map": ("normal_scale",),
    "emissive": ("emissive_factor", "emissive_strength"),
}
FLAT = (128, 128, 255)


def factors_differ(looks: Sequence[Look], picture: str) -> bool:
    """Whether factors of a picture differ; factors that make no difference to a look do not count."""
    if picture == "normal_map":
        looks = [look for look in looks if picture in look.images]
    return len({str(_values(look, picture)) for look in looks}) > 1


def _values(look: Look, picture: str) -> list[Any]:
    occluded = [look.has_occlusion] if picture == "metallic_roughness" else []  # else its red may be anything
    return [look.material.get(name) for name in FACTORS[picture]] + occluded


def common_factors(looks: Sequence[Look], multiplied: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The factors of all looks, without the factors that went into pictures, and the names of lost ones."""
    found: dict[str, Any] = {}
    lost = []
    if any("double_sided" in look.material for look in looks):
        found["double_sided"] = any(look.material.get("double_sided", False) for look in looks)
    for picture, names in FACTORS.items():
        if picture in multiplied:
            continue
        having = [look for look in looks if picture != "normal_map" or picture in look.images]
        for name in names:
            values = [look.material.get(name) for look in having]
            if any(value != values[0] for value in values):
                lost.append(name)
            elif values and values[0] is not None:
                found[name] = values[0]
    if "emissive" in multiplied:
        glow = brightest(looks)
        found |= {"emissive_factor": [1.0] * 3} | ({"emissive_strength": glow} if glow != 1 else {})
    return found, lost


def brightest(looks: Sequence[Look]) -> float:
    """The factor by which the largest emission of several materials exceeds a picture's 1."""
    return float(max(1.0, *(max(_glow(look)) for look in looks)))


def _glow(look: Look) -> np.ndarray:
    m = look.material
    return np.array(m.get("emissive_factor", [0.0] * 3)) * m.get("emissive_strength", 1.0)


def tables(looks: Sequence[Look], look: Look, picture: str) -> np.ndarray:
    """The table [3, 256] uint8 that maps the 256 values of each channel."""
    m = look.material
    if picture == "metallic_roughness":
        occlusion = m.get("occlusion_strength", 1.0) if look.has_occlusion else 0.0
        made = [
            1 + occlusion * (STEPS - 1),
            STEPS * m.get("roughness_factor", 1.0),
            STEPS * m.get("metallic_factor", 0.0),
        ]
    elif picture == "normal_map":
        tilted = 128 / 255 + (STEPS - 128 / 255) * m.get("normal_scale", 1.0)
        made = [tilted, tilted, STEPS]
    else:
        factor = _glow(look) / brightest(looks) if picture == "emissive" else m.get("base_color_factor", [1.0] * 4)[:3]
        made = [linear_to_srgb(np.clip(srgb_to_linear(STEPS) * f, 0, 1)) for f in factor]
    return np.round(np.clip(np.array(made), 0, 1) * 255).astype(np.uint8)


def bare(picture: str) -> np.ndarray:
    """The one texel [1, 1, 3] of a look that lacks a picture, before its factors."""
    return np.array(FLAT if picture == "normal_map" else (255, 255, 255), dtype=np.uint8)[None, None]


def multiplied(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] with its factors in it."""
    return np.stack([table[k][values[..., k]] for k in range(3)], -1)
