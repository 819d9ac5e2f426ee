"""The materials of a Wavefront OBJ (.mtl): the picture of their colour, or Kd where all have the same, and their other
surface properties.

PBR as Blender writes it (https://benhouston3d.com/blog/extended-wavefront-obj-mtl-for-pbr/): Pr, Pm, Ke, and the
pictures map_Pr, map_Pm, map_Ke, norm. A picture replaces its number, as in Blender. map_Bump counts as a normal map if
it is as blue as one, since Blender writes them so. Only files in the folder of the OBJ are read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..optional import require
from .lines import with_newlines
from .look import WORDS
from .mtl_lines import Material, Picture, Placing, materials, readings
from .pictures import SEVERAL, Found, bare_name, beside, is_beside, unpacked
from .skin import Skin

GLTF_CHANNELS = {"roughness": 1, "metallic": 2}  # of a grey picture all are alike; both in one picture are glTF's
BLUE = 40  # how far the mean blue of a normal map exceeds its red, in 255ths; a flat one has 127
WORD = {"normal": WORDS["normal_map"], "bump": "bump map", "glow": WORDS["emissive"]}
COLORS = Found(
    problem="its materials have colours (Kd) and no picture, and an OBJ does not keep these. Save it as GLB, which does"
)


def skin_of_obj(data: bytes, folder: Path) -> tuple[Found, Skin, Placing]:
    """The picture that the materials of all faces of an OBJ share, their other common properties, and where the
    pictures lie.

    Materials with different colours share no picture, and materials that differ otherwise share none of the rest. Maps
    are unpacked.
    """
    data = with_newlines(data)
    chunks = re.split(rb"(?m)^[ \t]*usemtl[ \t]+([^\n]*)", data)
    used = {chunks[i].strip() for i in range(1, len(chunks) - 1, 2) if re.search(rb"(?m)^[ \t]*f[ \t]", chunks[i + 1])}
    lines = re.findall(rb"(?m)^[ \t]*mtllib[ \t]+([^\n]*)", data)
    if not used or not lines:
        return Found(), Skin(), Placing()
    named, problem = _libraries(list(dict.fromkeys(lines)), folder)
    own = {name: next((named[x] for x in readings(name) if x in named), None) for name in used}
    if problem and None in own.values():
        return Found(problem=problem), Skin(), Placing()
    found = {material or Material() for material in own.values()}
    color, skin = _color(found, folder), _skin(found, folder)
    placing, report = _placing(found)
    if color.data is None and not skin.maps:
        return color, skin, Placing()
    skin.report += report
    return color, skin, placing


def _libraries(lines: list[bytes], folder: Path) -> tuple[dict[bytes, Material], str]:
    """The materials of all libraries, the first one of each name, and why one of the files is not read. A line has one
    name, which may have spaces, or else several."""
    known: dict[bytes, bool] = {}

    def is_there(name: bytes) -> bool:
        if name not in known:
            known[name] = is_beside(folder, name)
        return known[name]

    def found(names: list[bytes]) -> bytes:
        bare = [bare_name(name) for name in names]
        return next((name for name in bare if is_there(name)), bare[-1])

    named: dict[bytes, Material] = {}
    read: set[bytes] = set()
    problem = ""
    for line in lines:
        whole = [name for name in readings(line) if is_there(bare_name(name))]
        parts = [a or b for a, b in re.findall(rb'"([^"]*)"|(\S+)', readings(line)[-1])]
        several = whole[:1] or (parts if any(is_there(bare_name(x)) for x in parts) else readings(line)[-1:])
        for name in (x for x in map(bare_name, several) if x not in read):
            read.add(name)
            try:
                named = materials(beside(folder, name), found) | named
            except ValueError as error:
                problem = problem or str(error)
    return named, problem


def _placing(found: set[Material]) -> tuple[Placing, list[str]]:
    """Where the pictures of all materials lie, and a line for what is lost."""
    pictures = [(name, own) for material in found for name, own in material.pictures]
    every = {own.placing for _, own in pictures}
    chosen = {own.placing for name, own in pictures if name == "color"} or every
    said = "not kept of its material: offset and scale (-o, -s) of its pictures, "
    if len(chosen) > 1:
        return Placing(), [f"{said}in which its materials differ"]
    return next(iter(chosen), Placing()), [f"{said}as its texture has others"] if every - chosen else []


def _color(found: set[Material], folder: Path) -> Found:
    names = {material.color for material in found}
    if len(names) > 1:
        return SEVERAL
    try:
        name = names.pop()
        if not name and len({material.diffuse for material in found}) > 1:
            return COLORS
        return Found(beside(folder, name)) if name else Found()
    except ValueError as error:
        return Found(problem=str(error))


def _skin(found: set[Material], folder: Path) -> Skin:
    skin = Skin()
    dropped = sorted({word for material in found for word in material.dropped})
    if dropped:
        skin.report.append(f"not kept of its material: {', '.join(dropped)}")
    if len({material.surface for material in found}) > 1:
        skin.report.append("not kept: roughness, metal, normals and emission, in which its materials differ")
        return skin
    material = next(iter(found))
    pictures, numbers = dict(material.pictures), dict(material.numbers)
    if not material.color and material.diffuse != (1.0, 1.0, 1.0):
        skin.factors["base_color_factor"] = [*(min(1.0, value) for value in material.diffuse), 1.0]

    def read(name: str) -> np.ndarray | None:
        """The picture [H, W, 3] uint8 of this name; None if there is none, or it cannot be read."""
        if name not in pictures:
            return None
        word = WORD.get(name, f"{name} map")
        try:
            picture, said = unpacked(beside(folder, pictures[name].name), pixels=True)
        except ValueError as error:
            skin.report.append(f"its {word} is not kept: {error}")
            return None
        skin.report.extend([said.replace("texture", word, 1)] if said else [])
        return picture

    grey = {name: _channel(read(name), pictures.get(name), channel) for name, channel in GLTF_CHANNELS.items()}
    if any(picture is not None for picture in grey.values()):
        skin.maps["metallic_roughness"] = _together(grey["roughness"], grey["metallic"])
    for name, default in (("roughness", 1.0), ("metallic", 0.0)):
        if grey[name] is not None:
            skin.factors[f"{name}_factor"] = 1.0
        elif numbers or len(pictures) > ("color" in pictures):
            skin.factors[f"{name}_factor"] = min(1.0, numbers.get(name, (default,))[0])
    name = "normal" if "normal" in pictures else "bump"
    if (normals := read(name)) is not None:
        if name == "bump" and float(normals[..., 2].mean()) < float(normals[..., 0].mean()) + BLUE:
            skin.report.append("not kept of its material: its bump map (heights; bake them into a normal map)")
        else:
            skin.maps["normal_map"] = normals
            skin.factors["normal_scale"] = pictures[name].strength
    if (glow := read("glow")) is not None:
        skin.maps["emissive"], skin.factors["emissive_factor"] = glow, [1.0] * 3
    elif (most := max(numbers.get("glow", (0.0,)))) > 0:
        skin.factors["emissive_factor"] = [value / max(most, 1.0) for value in numbers["glow"]]
        skin.factors |= {"emissive_strength": most} if most > 1 else {}
    return skin


def _channel(picture: np.ndarray | None, named: Picture | None, usual: int) -> np.ndarray | None:
    """The channel [H, W] of a picture that holds one number."""
    if picture is None or named is None:
        return None
    return picture[..., usual if named.channel is None else named.channel]


def _together(roughness: np.ndarray | None, metallic: np.ndarray | None) -> np.ndarray:
    """glTF's picture [H, W, 3] of both, in the larger size; one that is missing is 1 everywhere, for its factor."""
    given = [picture for picture in (roughness, metallic) if picture is not None]
    height, width = max((picture.shape for picture in given), key=lambda shape: shape[0] * shape[1])
    made = np.full((height, width, 3), 255, dtype=np.uint8)
    for channel, picture in ((1, roughness), (2, metallic)):
        if picture is not None:
            size = (width, height)
            made[..., channel] = picture if picture.shape == (height, width) else _resized(picture, size)
    return made


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A channel in another size: width, height."""
    pil: Any = require("PIL.Image", "pillow")
    return np.asarray(pil.fromarray(np.ascontiguousarray(picture)).resize(size, pil.Resampling.BILINEAR))
