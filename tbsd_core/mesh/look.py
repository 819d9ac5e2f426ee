"""The materials of a glTF file: their pictures and factors. Nothing is unpacked here.

A base colour that cannot be determined makes a file damaged. Anything else that is wrong is left out and named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

GLOSS = "KHR_materials_pbrSpecularGlossiness"
STRENGTH = "KHR_materials_emissive_strength"
UNLIT = "KHR_materials_unlit"
TRANSFORM = "KHR_texture_transform"
READ = {GLOSS, STRENGTH, UNLIT}
ERRORS = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
MAX_FACTOR = 1e6
WORDS = {
    "base_color": "base colour",
    "metallic_roughness": "roughness and metal map",
    "normal_map": "normal map",
    "emissive": "emissive map",
}
STILL = (0.0, 0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Look:
    """A material, as far as it is read.

    Args:
        pictures: the number of the image of each picture, by the names of WORDS.
        channel: the texture coordinates that they are all for.
        moved: offset u and v, rotation in radians, scale u and v of the texture coordinates (KHR_texture_transform).
        factors: by ComfyUI's names, in JSON. A material without one of glTF's has glTF's default; no material, none.
        dropped: its other features, in words.
        sealed: why its base colour is a picture that is not read; "" if it is read.
    """

    pictures: tuple[tuple[str, int], ...] = ()
    channel: int = 0
    has_occlusion: bool = False  # in the red of metallic_roughness
    unlit: bool = False
    factors: str = "{}"
    dropped: tuple[str, ...] = field(default=(), compare=False)
    moved: tuple[float, ...] = field(default=STILL, compare=False)  # by then it is in the coordinates
    sealed: str = ""

    @property
    def images(self) -> dict[str, int]:
        return dict(self.pictures)

    @property
    def material(self) -> dict[str, Any]:
        return json.loads(self.factors)


def look_of(tree: dict, primitive: dict, same: Mapping[int, int]) -> Look:
    """The look of a primitive. Raises one of ERRORS if its base colour cannot be determined.

    Args:
        same: for the number of each image, the number of the first image with the same picture.
    """
    if "material" not in primitive:
        return Look()
    material = tree["materials"][primitive["material"]]
    pbr, extensions = material.get("pbrMetallicRoughness", {}), material.get("extensions", {})
    used, gloss = pbr.get("baseColorTexture"), None
    if not used and GLOSS in extensions:  # with a picture in both, the newer one is for readers such as this one
        gloss = extensions[GLOSS]
        used = gloss.get("diffuseTexture")
    extensions = extensions if isinstance(extensions, dict) else {}
    pictures, place, dropped, sealed = {}, None, [], ""
    if used is not None:
        try:
            place = _place(used)
        except ERRORS:
            place = used.get("texCoord", 0), ""
        if (image := _image(tree, used)) is not None:
            pictures["base_color"] = same.get(image, image)
        else:
            sealed = f"its texture {_sealing(tree, used)}"
    maps = {
        "metallic_roughness": pbr.get("metallicRoughnessTexture") if gloss is None else None,
        "normal_map": material.get("normalTexture"),
        "emissive": material.get("emissiveTexture"),
        "occlusion": material.get("occlusionTexture"),
    }
    for name, reference in maps.items():
        if reference is None:
            continue
        word = WORDS.get(name, "occlusion map")
        try:
            image = _image(tree, reference)
            if image is None:
                dropped.append(f"its {word} (it {_sealing(tree, reference)})")
                continue
            if not isinstance(image, int) or not 0 <= image < len(tree["images"]):
                raise IndexError(image)
            if place is not None and _place(reference) != place:
                dropped.append(f"its {word} (it has texture coordinates of its own)")
                continue
            place = _place(reference)
            pictures[name] = same.get(image, image)
        except ERRORS:
            dropped.append(f"its {word} (the file does not have it)")
    factors, occluded = _factors(material, pbr, gloss, pictures, dropped), pictures.pop("occlusion", None)
    has_occlusion = occluded is not None and occluded == pictures.get("metallic_roughness")
    if occluded is not None and not has_occlusion:
        dropped.append("its occlusion map (it is a picture of its own)")
    if "emissive" in pictures and not any(factors.get("emissive_factor", [])):
        del pictures["emissive"]  # glTF multiplies the two
    dropped += [f"its {name[:60]}" for name in sorted(extensions) if name not in READ]
    if GLOSS in extensions:
        is_rough = gloss is not None and "specularGlossinessTexture" not in gloss  # as the gloss says
        dropped.append("its specular colour" if is_rough else "its specular colour and gloss")
    if material.get("alphaMode", "OPAQUE") != "OPAQUE":
        dropped.append("its transparency")
    channel, moved = (0, STILL) if place is None else (place[0], _moved(place[1], dropped))
    ordered = tuple(sorted(pictures.items()))
    unlit, given = UNLIT in extensions, json.dumps(factors)
    return Look(ordered, channel, has_occlusion, unlit, given, tuple(dropped), moved, sealed)


def dropped_of(looks: Iterable[Look]) -> list[str]:
    """One line about the features of the materials that are lost, if any."""
    said = list(dict.fromkeys(x for look in looks for x in look.dropped))
    more = f" and {len(said) - 6} more" if len(said) > 6 else ""
    return [f"not kept of its material: {', '.join(said[:6])}{more}"] if said else []


def _place(reference: dict) -> tuple[int, str]:
    """Which texture coordinates a picture is for."""
    moved = reference.get("extensions", {}).get(TRANSFORM, {})
    return moved.get("texCoord", reference.get("texCoord", 0)), json.dumps(moved, sort_keys=True)


def _moved(text: str, dropped: list[str]) -> tuple[float, ...]:
    """Look.moved of a KHR_texture_transform in JSON."""
    try:
        found = json.loads(text or "{}")
        offset, scale = (_numbers(found.get(key, [default] * 2), 2) for key, default in (("offset", 0), ("scale", 1)))
        return (*offset, _number(found.get("rotation", 0.0)), *scale)
    except ERRORS:
        dropped.append("its texture transform (it is not made of numbers)")
        return STILL


def moved_coordinates(uvs: np.ndarray, look: Look) -> np.ndarray:
    """Texture coordinates [N, 2] where the pictures of a look are, after its transform.

    The rotation is counter-clockwise where v points down, as Blender and three.js have it.
    """
    if look.moved == STILL:
        return uvs
    u, v, angle, *scale = look.moved
    c, s = np.cos(angle), np.sin(angle)
    return ((uvs * scale) @ np.array([[c, -s], [s, c]]) + [u, v]).astype(np.float32)


def _image(tree: dict, reference: dict) -> int | None:
    texture: dict[str, Any] = tree["textures"][reference["index"]]
    webp = texture.get("extensions", {}).get("EXT_texture_webp", {})
    return webp.get("source", texture.get("source"))


def _sealing(tree: dict, reference: dict) -> str:
    """Why a texture gives no picture, in words that continue a sentence."""
    named = ", ".join(map(str, tree["textures"][reference["index"]].get("extensions", {})))
    return f"is compressed in a way that is not read ({named[:60]})" if named else "has no picture in the file"


def _factors(
    material: dict, pbr: dict, gloss: dict | None, pictures: dict[str, int], dropped: list[str]
) -> dict[str, Any]:
    """The numbers of a material by ComfyUI's names, glTF's defaults where they count.

    Args:
        gloss: the older material, if it counts instead of `pbr`. Its specular colour is left out: it is not a metal.
    """
    found: dict[str, Any] = {"double_sided": material.get("doubleSided") is True}

    def put(name: str, source: Any, key: str, default: Any) -> None:
        value = source.get(key, default) if isinstance(source, dict) else default
        try:
            found[name] = _number(value) if isinstance(default, float) else _numbers(value, len(default))
        except ERRORS:
            dropped.append(f"its {key} (it is not a number)")
            found[name] = default

    if gloss is None:
        put("metallic_factor", pbr, "metallicFactor", 1.0)
        put("roughness_factor", pbr, "roughnessFactor", 1.0)
    else:
        found["metallic_factor"] = 0.0
        if "specularGlossinessTexture" not in gloss:  # else the factor alone says little
            put("roughness_factor", gloss, "glossinessFactor", 1.0)
            found["roughness_factor"] = min(max(1 - found["roughness_factor"], 0.0), 1.0)
    base, key = (pbr, "baseColorFactor") if gloss is None else (gloss, "diffuseFactor")
    if key in base:
        put("base_color_factor", base, key, [1.0] * 4)
    if "normal_map" in pictures:
        put("normal_scale", material["normalTexture"], "scale", 1.0)
    if "occlusion" in pictures and pictures["occlusion"] == pictures.get("metallic_roughness"):
        put("occlusion_strength", material["occlusionTexture"], "strength", 1.0)
    if "emissiveFactor" in material:
        put("emissive_factor", material, "emissiveFactor", [0.0] * 3)
        if STRENGTH in material.get("extensions", {}):
            put("emissive_strength", material["extensions"][STRENGTH], "emissiveStrength", 1.0)
    return found


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, (str, bool)) or not abs(number) <= MAX_FACTOR:
        raise ValueError(value)
    return number


def _numbers(value: Any, length: int) -> list[float]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(value)
    return [_number(x) for x in value]
