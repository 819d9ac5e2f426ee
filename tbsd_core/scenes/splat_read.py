"""Splat files read: the .ply of 3D Gaussian splatting and the .splat of web viewers. Both are plain tables of numbers.

A file comes from anywhere: its declared sizes are compared with its own before anything is allocated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch

from ..color import sh_to_colors
from ..renderer.splatting import Splats

MAX_HEADER = 1 << 20
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4"},
    **{"float": "<f4", "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2"},
    **{"int32": "<i4", "uint32": "<u4", "float32": "<f4", "float64": "<f8"},
}
GEOMETRY = ("x", "y", "z", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "opacity")
RECORD = np.dtype([("xyz", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])  # of a .splat
KSPLAT_HEADER = 4096  # bytes
# a .splat has no beginning of its own: spz (packed, and bare), sog and other zips, GLB, and pages of a failed download
FOREIGN = (b"\x1f\x8b", b"NGSP", b"PK\x03\x04", b"glTF", b"<!DOCTYPE", b"<!doctype", b"<html")
CONVERT = "Connect ComfyUI's Get Splat between, which reads ply, splat, ksplat and spz, or save it as .ply."


@dataclass(frozen=True)
class ReadSplats:
    """Splats in the file's own frame, and one line for each thing that was left out."""

    splats: Splats
    report: tuple[str, ...] = ()


def read_splats(data: bytes, name: str) -> ReadSplats:
    """Read a splat file, whatever its name ends with.

    Raises:
        ValueError: another format, a damaged file, no splats, or numbers that are not finite.
    """
    if data[:3] == b"ply":
        read = _ply(data, name)
    elif data.startswith(FOREIGN) or _is_ksplat(data) or len(data) % RECORD.itemsize or not data:
        raise ValueError(f"{name} is not a splat file that this pack reads (.ply, .splat). {CONVERT}")
    else:
        read = ReadSplats(_splat(np.frombuffer(data, RECORD)))
    return ReadSplats(checked(read.splats, name), read.report)


def _is_ksplat(data: bytes) -> bool:
    """Whether it begins as the header of a .ksplat does, with its version, 0.1."""
    return data[:2] == b"\0\1" and len(data) >= KSPLAT_HEADER


def checked(splats: Splats, name: str) -> Splats:
    """Raise ValueError for no splats, or for some that nothing can draw."""
    if not len(splats.means):
        raise ValueError(f"{name} has no splats.")
    fields = (splats.means, splats.quats, splats.scales, splats.opacities[:, None], splats.colors)
    n_bad = int((~torch.isfinite(torch.cat(fields, -1))).any(-1).sum())
    if n_bad:
        raise ValueError(f"{n_bad} of the {len(splats.means)} splats of {name} have numbers that are not finite.")
    return splats


def _ply(data: bytes, name: str) -> ReadSplats:
    end = data.find(b"end_header", 0, MAX_HEADER)
    start = data.find(b"\n", end) + 1
    if end < 0 or not start:
        raise ValueError(f"{name} is damaged: no 'end_header' in its first {MAX_HEADER >> 20} MB. Export it again.")
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    if ["format", "binary_little_endian", "1.0"] not in lines:
        raise ValueError(f"{name} is a .ply in another format than binary_little_endian 1.0. {CONVERT}")
    elements = [line for line in lines if line[:1] == ["element"]]
    if len(elements) != 1 or elements[0][1:2] != ["vertex"] or not re.fullmatch(r"\d{1,9}", elements[0][-1]):
        listed = ", ".join(line[1] for line in elements if len(line) > 1)
        raise ValueError(f"{name} has the elements {listed or 'none'}; splats have vertex alone. {CONVERT}")
    count = int(elements[0][-1])
    columns = [line[1:] for line in lines if line[:1] == ["property"]]
    if any(len(c) != 2 or c[0] not in TYPES for c in columns) or len({c[1] for c in columns}) < len(columns):
        raise ValueError(f"{name} is damaged: it has properties that are not numbers. Export it again.")
    kind = np.dtype([(key, TYPES[short]) for short, key in columns])
    colors = next(
        (k for k in (("f_dc_0", "f_dc_1", "f_dc_2"), ("red", "green", "blue")) if {*k} <= {*(kind.names or ())}), ()
    )
    lacking = [key for key in GEOMETRY if key not in (kind.names or ())]
    if lacking or not colors:
        raise ValueError(
            f"{name} is a .ply without {', '.join(lacking) or 'colours'}: a mesh or a cloud of points, not splats. "
            "A mesh goes into Mesh Texture Scene."
        )
    if len(data) - start < count * kind.itemsize:
        raise ValueError(f"{name} is cut off: it declares {count:,} splats and holds fewer. Export it again.")
    table = np.frombuffer(data, kind, count=count, offset=start)

    def column(*keys: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([table[key].astype(np.float32) for key in keys], -1))

    n_rest = sum(key.startswith("f_rest_") for key in kind.names or ())
    base = sh_to_colors(column(*colors)) if colors[0] == "f_dc_0" else column(*colors) / 255
    splats = Splats(
        column("x", "y", "z"),
        column("rot_0", "rot_1", "rot_2", "rot_3"),
        column("scale_0", "scale_1", "scale_2").exp(),
        column("opacity")[:, 0].sigmoid(),
        base,
    )
    return ReadSplats(splats, (of_degree(n_rest // 3 + 1),) if n_rest else ())


def of_degree(n_coefficients: int) -> str:
    """The note on splats whose colours depend on the view."""
    return f"colours that change with the view (degree {round(n_coefficients**0.5) - 1}) are not kept, only their mean"


def _splat(table: np.ndarray) -> Splats:
    """The records of a .splat (antimatter15's viewer)."""
    rgba = torch.from_numpy(table["rgba"].astype(np.float32)) / 255
    quats = torch.from_numpy(table["quat"].astype(np.float32)) / 128 - 1
    means, scales = (torch.from_numpy(table[key].astype(np.float32)) for key in ("xyz", "scale"))
    return Splats(means, quats, scales, rgba[:, 3], rgba[:, :3])
