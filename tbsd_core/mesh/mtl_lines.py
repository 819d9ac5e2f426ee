"""The lines of a Wavefront .mtl: materials, and the pictures and numbers that they name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from .lines import with_newlines

MAX_NUMBER, MAX_LINE, MAX_WORDS = 1e6, 4096, 16
OPTIONS = {b"-bm": 1, b"-imfchan": 1, b"-clamp": 1, b"-blendu": 1, b"-blendv": 1, b"-cc": 1, b"-texres": 1, b"-mm": 2}
PLACING = {b"-o": 0.0, b"-s": 1.0, b"-t": 0.0}  # of up to three numbers, and what those not given are
CHANNELS = {b"r": 0, b"g": 1, b"b": 2}
PICTURES = {b"map_kd": "color", b"map_pr": "roughness", b"map_pm": "metallic", b"map_ke": "glow"}
PICTURES |= {b"norm": "normal", b"map_bump": "bump", b"bump": "bump"}
NUMBERS = {b"pr": "roughness", b"pm": "metallic", b"ke": "glow"}
NOT_KEPT = {b"disp": "displacement map", b"map_d": "transparency"}
LINE = re.compile(rb"(?m)^[ \t]*([A-Za-z_]+)[ \t]+([^\n]*)")


@dataclass(frozen=True)
class Placing:
    """Where a picture lies: texture coordinates, v from below, times `scale` plus `offset`."""

    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Picture:
    """A picture that a material names.

    Args:
        channel: the channel that -imfchan asks for; None: any.
        strength: of -bm.
        turbulent: has -t, which is not kept.
    """

    name: bytes
    channel: int | None = None
    strength: float = 1.0
    placing: Placing = Placing()
    turbulent: bool = False


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


def readings(text: bytes) -> list[bytes]:
    """The names that a text may mean: a name may have spaces and "#", be in quotes, and have a comment behind it."""
    ends = [match.start() for match in islice(re.finditer(rb"[ \t]#", text), MAX_WORDS)]
    found = [text[:end].strip() for end in (len(text), *ends[::-1])]
    in_quotes = [re.fullmatch(rb'"([^"]+)"', name) for name in found]
    return list(dict.fromkeys(quoted[1] if quoted else name for name, quoted in zip(found, in_quotes, strict=True)))


def materials(library: bytes, found: Callable[[list[bytes]], bytes]) -> dict[bytes, Material]:
    """The materials of an .mtl file by all readings of their names; if a line appears twice, the last one counts.

    Args:
        found: gives one of several names, the first that a file has.
    """
    lines: dict[bytes, dict[bytes, bytes]] = {}
    current: dict[bytes, bytes] = {}
    for match in LINE.finditer(with_newlines(library)):
        if match[1].lower() == b"newmtl":
            current = lines[match[2].strip()] = {}
        else:
            current[match[1].lower()] = match[2][:MAX_LINE]
    made = {name: _material(own, found) for name, own in lines.items()}
    for name in lines:
        for reading in readings(name):
            made.setdefault(reading, made[name])
    return made


def _material(lines: dict[bytes, bytes], found: Callable[[list[bytes]], bytes]) -> Material:
    pictures = {name: _picture(lines[key], found) for key, name in PICTURES.items() if key in lines}
    numbers, dropped = {}, [f"its {word}" for key, word in NOT_KEPT.items() if key in lines]
    dropped += ["the turbulence (-t) of its pictures"] if any(own.turbulent for own in pictures.values()) else []
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


def _picture(line: bytes, found: Callable[[list[bytes]], bytes]) -> Picture:
    """A picture's name and its options; after unknown options any of the words may begin the name."""
    channel, strength, rest = None, 1.0, line.strip()
    places: dict[bytes, list[float]] = {}
    while rest.startswith(b"-"):
        option, *words = rest.split()
        option = option.lower()
        n = OPTIONS.get(option)
        if option in PLACING:
            given = [_number(word) for word in words[: min(3, len(words) - 1)]]
            n = given.index(None) if None in given else len(given)
            places[option] = [*(x for x in given[:n] if x is not None), *[PLACING[option]] * (3 - n)]
        if n is None or len(words) <= n:
            names = [rest.split(None, k)[-1] for k in range(1, min(len(words), MAX_WORDS) + 1)] or [rest]
            names.append(rest.split()[-1])
            return Picture(found([x for name in names for x in readings(name)]), channel, strength)
        if option == b"-imfchan":
            channel = CHANNELS.get(words[0].lower())
        elif option == b"-bm":
            given_strength = _number(words[0])
            strength = 1.0 if given_strength is None or given_strength < 0 else given_strength
        rest = rest.split(None, n + 1)[-1]
    (ou, ov, _), (su, sv, _) = (places.get(key, [PLACING[key]] * 3) for key in (b"-o", b"-s"))
    placing = Placing((su or 1.0, sv or 1.0), (ou, ov))
    return Picture(found(readings(rest)), channel, strength, placing, any(places.get(b"-t", ())))


def _number(word: bytes) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= MAX_NUMBER else None


def _numbers(text: bytes, most: int) -> tuple[float, ...]:
    """Its numbers; one alone stands for all. Raises ValueError for anything else."""
    values = tuple(float(word) for word in text.split()[:most])
    if len(values) not in (1, most) or not all(0 <= value <= MAX_NUMBER for value in values):
        raise ValueError(text)
    return values * (most // len(values))
