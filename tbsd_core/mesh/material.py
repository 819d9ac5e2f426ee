"""The glTF 2.0 material of a mesh's surface.

glTF's default is a metal. Ours is matte, and unlit (KHR_materials_unlit) if the light is already in the colours. The
surface's own values take precedence, as in ComfyUI's own writer (save_glb): factors go by its names, and a negative one
is unset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .mesh import Mesh


def glb_material(mesh: Mesh, add_picture: Callable[[np.ndarray], dict[str, int]]) -> dict[str, Any]:
    """A material of glTF's `materials`.

    Args:
        add_picture: keeps a picture [H, W, 3], and gives the reference to its texture.

    Raises:
        ValueError: factors that are not numbers.
    """
    surface = mesh.surface
    pbr: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    material: dict[str, Any] = {"pbrMetallicRoughness": pbr}
    maps = {} if mesh.uvs is None else surface.arrays
    try:
        factors = Factors(surface.factors)
        if mesh.texture is not None:
            pbr["baseColorTexture"] = add_picture(mesh.texture)
        if "metallic_roughness" in maps:
            packed = pbr["metallicRoughnessTexture"] = add_picture(maps["metallic_roughness"])
            pbr |= {"metallicFactor": 1.0, "roughnessFactor": 1.0}
            if surface.has_occlusion:
                material["occlusionTexture"] = {**packed, "strength": factors.number("occlusion_strength", 1.0)}
        if (color := factors.numbers("base_color_factor")) is not None:
            pbr["baseColorFactor"] = color
        for name, key in (("metallic_factor", "metallicFactor"), ("roughness_factor", "roughnessFactor")):
            if (value := factors.number(name, -1.0)) >= 0:
                pbr[key] = value
        if "normal_map" in maps:
            picture = add_picture(maps["normal_map"])
            material["normalTexture"] = {**picture, "scale": factors.number("normal_scale", 1.0)}
        material |= _glow(maps.get("emissive"), factors, add_picture)
        material["doubleSided"] = bool(surface.factors.get("double_sided", True))
    except (TypeError, ValueError) as error:
        raise ValueError(f"The mesh's material has factors that are not numbers: {error}. Set it again.") from error
    if mesh.unlit:
        material.setdefault("extensions", {})["KHR_materials_unlit"] = {}
    return material


class Factors:
    """Numbers of a material by name."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def number(self, name: str, default: float) -> float:
        value = self._values.get(name)
        return default if value is None else float(value)

    def numbers(self, name: str) -> list[float] | None:
        value = self._values.get(name)
        return None if value is None else [float(x) for x in value]


def _glow(
    picture: np.ndarray | None, factors: Factors, add_picture: Callable[[np.ndarray], dict[str, int]]
) -> dict[str, Any]:
    """The emissive part; glTF multiplies factor and texture, so that a texture alone has the factor 1."""
    factor = factors.numbers("emissive_factor") or [0.0, 0.0, 0.0]
    if picture is None and not any(factor):
        return {}
    part: dict[str, Any] = {"emissiveFactor": [min(1.0, x) for x in factor] if any(factor) else [1.0, 1.0, 1.0]}
    if picture is not None:
        part["emissiveTexture"] = add_picture(picture)
    if (strength := factors.number("emissive_strength", 1.0)) != 1:
        part["extensions"] = {"KHR_materials_emissive_strength": {"emissiveStrength": strength}}
    return part
