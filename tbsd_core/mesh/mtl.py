"""The materials of a Wavefront OBJ (.mtl): the picture of their colour, or Kd where all have the same, and their other
surface properties.

PBR as Blender writes it (https://benhouston3d.com/blog/extended-wavefront-obj-mtl-for-pbr/): Pr, Pm, Ke, and the
pictures map_Pr, map_Pm, map_Ke, norm. A picture replaces its number, as in Blender. map_Bump counts as a normal map if
it is as blue as one, since Blender writes them so. Only files in the folder of the OBJ are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..optional import require
from .look import WORDS
from .pictures import SEVERAL, Found, bare_name, beside, unpacked
from .skin import Skin

MAX_NUMBER, MAX_LINE = 1e6, 4096
OPTIONS = {b"-bm": 1, b"-imfchan": 1, b"-clamp": 1, b"-blendu": 1, b"-blendv": 1, b"-cc": 1, b"-texres": 1, b"-mm": 2}
CHANNELS = {b"r": 0, b"g": 1, b"b": 2}
GLTF_CHANNELS = {"roughness": 1, "metallic": 2}  # of a grey picture all are alike; both in one picture are glTF's
PICTURES = {b"map_kd": "color", b"map_pr": "roughness", b"map_pm": "metallic", b"map_ke": "glow"}
PICTURES |= {b"norm": "normal", b"map_bump": "bump", b"bump": "bump"}
NUMBERS = {b"pr": "roughness", b"pm": "metallic", b"ke": "glow"}
NOT_KEPT = {b"disp": "displacement map", b"map_d": "transparency"}
BLUE = 40  # how far the mean blue of a normal map exceeds its red, in 255ths; a flat one has 127
WORD = {"normal": WORDS["normal_map"], "bump": "bump map", "glow": WORDS["emissive"]}
COLORS = Found(
    problem="its materials have colours (Kd) and no picture, and an OBJ does not keep these. Save it as GLB, which does"
)
LINE = re.compile(rb"(?m)^[ \t]*([A-Za-z_]+)[ \t]+([^\r\n]*)")


@dataclass(frozen=True)
class Picture:
    """A picture that a material names.

    Args:
        channel: the channel that -imfchan asks for; None: any.
        strength: of -bm.
    """

    name: bytes
    channel: int | None = None
    strength: float = 1.0


@dataclass(frozen=True)
class Material:
    """By the names of PICTURES and NUMBERS."""

    pictures: tuple[tuple[str, Picture], ...] = ()
    numbers: tuple[tuple[str, tuple[float, ...]], ...] = ()
    dropped: tuple[str, ...] = ()
    diffuse: tuple[float, ...] = (1.0, 1.0, 1.0)  # Kd, in linear light, as Blender writes it

    @property
    def color(self) -> bytes:
        found = dict(self.pictures).get("color")
        return b"" if found is None else found.name

    @property
    def surface(self) -> tuple[Any, ...]:
        """All but its colour."""
        return tuple(x for x in self.pictures if x[0] != "color"), self.numbers


def materials(library: bytes) -> dict[bytes, Material]:
    """The materials of an .mtl file by their names; if a line appears twice, the last one counts."""
    lines: dict[bytes, dict[bytes, bytes]] = {}
    current: dict[bytes, bytes] = {}
    for match in LINE.finditer(library):
        if match[1].lower() == b"newmtl":
            current = lines[match[2].strip()] = {}
        else:
            current[match[1].lower()] = match[2][:MAX_LINE]
    return {name: _material(own) for name, own in lines.items()}


def _material(lines: dict[bytes, bytes]) -> Material:
    pictures = {name: _picture(lines[key]) for key, name in PICTURES.items() if key in lines}
    numbers, dropped = {}, [f"its {word}" for key, word in NOT_KEPT.items() if key in lines]
    for key, name in NUMBERS.items():
        if key not in lines:
            continue
        try:
            numbers[name] = _numbers(lines[key], 3 if name == "glow" else 1)
        except ValueError:
            dropped.append(f"its {key.decode().capitalize()} (it is no number)")
    made = Material(tuple(sorted(pictures.items())), tuple(sorted(numbers.items())), tuple(dict.fromkeys(dropped)))
    try:
        return replace(made, diffuse=_numbers(lines[b"kd"], 3))
    except (KeyError, ValueError):
        return made


def _picture(line: bytes) -> Picture:
    """A picture's name and its options; after unknown options a name with spaces is ambiguous."""
    channel, strength, rest = None, 1.0, line.strip()
    while rest.startswith(b"-"):
        option, *words = rest.split()
        n = OPTIONS.get(option.lower())
        if n is None or len(words) <= n:
            rest = rest.split()[-1]
            break
        if option.lower() == b"-imfchan":
            channel = CHANNELS.get(words[0].lower())
        elif option.lower() == b"-bm":
            strength = _numbers(words[0], 1)[0] if re.fullmatch(rb"[-+.\deE]+", words[0]) else 1.0
        rest = rest.split(None, n + 1)[-1]
    return Picture(bare_name(rest), channel, strength)


def _numbers(text: bytes, most: int) -> tuple[float, ...]:
    """Its numbers; one alone stands for all. Raises ValueError for anything else."""
    values = tuple(float(word) for word in text.split()[:most])
    if len(values) not in (1, most) or not all(0 <= value <= MAX_NUMBER for value in values):
        raise ValueError(text)
    return values * (most // len(values))


def skin_of_obj(data: bytes, folder: Path) -> tuple[Found, Skin]:
    """The picture that the materials of all faces of an OBJ share, and their other common properties.

    Materials with different colours share no picture, and materials that differ otherwise share none of the rest. Maps
    are unpacked.
    """
    chunks = re.split(rb"(?m)^[ \t]*usemtl[ \t]+([^\r\n]*)", data)
    used = {chunks[i].strip() for i in range(1, len(chunks) - 1, 2) if re.search(rb"(?m)^[ \t]*f[ \t]", chunks[i + 1])}
    library = re.search(rb"(?m)^[ \t]*mtllib[ \t]+([^\r\n]*)", data)
    if not used or not library:
        return Found(), Skin()
    try:
        named = materials(beside(folder, library[1]))
    except ValueError as error:
        return Found(problem=str(error)), Skin()
    found = {named.get(name, Material()) for name in used}
    return _color(found, folder), _skin(found, folder)


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
