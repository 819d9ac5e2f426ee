"""Pictures that belong to mesh files: found beside them, and unpacked only if their size is acceptable."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bits import eight_bits
from ..optional import require

MAX_TEXTURE = 8192  # texels along each side of a kept picture
MAX_UNPACKED = 16384  # of a picture that is read; it is halved until it fits
MAX_BYTES = 1 << 29
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "TIFF")


@dataclass(frozen=True)
class Found:
    """The colours of a mesh's faces: one picture, or why there is none."""

    data: bytes | None = None
    problem: str = ""
    is_shared: bool = True  # False: texture coordinates of different pictures, which overlap


SEVERAL = Found(
    problem="its faces do not share one texture, so none is kept. To keep their colours, bake them into one "
    "picture: in Blender, join the objects, unwrap them again with Smart UV Project, and bake Diffuse Color",
    is_shared=False,
)


def bare_name(name: bytes) -> bytes:
    """A file's name without its folders: paths in mesh files belong to another computer."""
    return re.split(rb"[\\/]", name)[-1].strip()


def is_beside(folder: Path, name: bytes) -> bool:
    """Whether the folder has a file of this bare name, and no link. On Windows a colon leads to another folder."""
    bare = bare_name(name).decode(errors="replace")
    return ":" not in bare and not os.path.islink(folder / bare) and os.path.isfile(folder / bare)


def beside(folder: Path, name: bytes) -> bytes:
    """A file in the folder by its bare name.

    Raises:
        ValueError: it is not there, or is too large.
    """
    bare = bare_name(name).decode(errors="replace")
    file = folder / bare
    if not is_beside(folder, name):
        raise ValueError(f"{bare!r} is not in the folder of the mesh. Put it there, or save the mesh as GLB")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{bare!r} has more than {MAX_BYTES >> 20} MB")
    return file.read_bytes()


def unpacked(data: bytes, *, pixels: bool) -> tuple[np.ndarray | None, str]:
    """A picture as uint8 [H, W, 3], if its pixels are wanted, and a note about it.

    Its header alone is read first: a file of a few kB may hold gigabytes of pixels.

    Raises:
        ValueError: it is damaged, too large, or of another format.
    """
    width, height = declared_size(data)
    if not pixels:
        return None, ""
    pil: Any = require("PIL.Image", "pillow")
    most, pil.MAX_IMAGE_PIXELS = pil.MAX_IMAGE_PIXELS, None
    try:
        image = pil.open(io.BytesIO(data), formats=FORMATS)
        image.draft("RGB", (MAX_TEXTURE, MAX_TEXTURE))  # a JPEG can be unpacked at half its size
        image = eight_bits(image).convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # a decoder of damaged bytes fails in any way
        raise ValueError(f"it cannot be read ({error}). Save it again as PNG or JPEG") from error
    finally:
        pil.MAX_IMAGE_PIXELS = most
    while max(image.size) > MAX_TEXTURE:
        image = image.reduce(2)
    said = f"texture of {width:,} x {height:,} reduced to {image.size[0]:,} x {image.size[1]:,}"
    return np.asarray(image), said if image.size != (width, height) else ""


def declared_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of a picture names. Raises ValueError as `unpacked`."""
    pil: Any = require("PIL.Image", "pillow")
    most, pil.MAX_IMAGE_PIXELS = pil.MAX_IMAGE_PIXELS, None  # it would not even tell how large it is
    try:
        width, height = pil.open(io.BytesIO(data), formats=FORMATS).size
    except MemoryError:
        raise
    except Exception as error:  # a decoder of damaged bytes fails in any way
        raise ValueError(f"it cannot be read ({error}). Save it again as PNG or JPEG") from error
    finally:
        pil.MAX_IMAGE_PIXELS = most
    if not 0 < max(width, height) <= MAX_UNPACKED:
        raise ValueError(
            f"it has {width:,} x {height:,} pixels; at most {MAX_UNPACKED:,} along each side are read. Make it smaller"
        )
    return width, height
