"""Binary glTF 2.0 with vertex colours.

Written here rather than by a library for two reasons that decide what viewers show. COLOR_0 is a
LINEAR factor (glTF 2.0, Section 3.9.2), so our sRGB colours are converted, in float32, where 8 linear
bits would band in the dark. And the default glTF material is a metal; ours is matte, and unlit
(KHR_materials_unlit) where the viewer knows that, because the light is already in the colours.
"""

from __future__ import annotations

import json
import os
import struct

import numpy as np

from ..atomic import atomic_path
from .mesh import Mesh

_FLOAT, _UINT32 = 5126, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: np.ndarray) -> np.ndarray:
    """sRGB values of linear light in [0, 1]; the inverse of srgb_to_linear."""
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055)


def glb_bytes(
    mesh: Mesh,
    unlit: bool = True,  # False lets the viewer light the mesh, on top of the light in its colours
) -> bytes:
    """A complete .glb file. glTF shares our axes (+y up, +z front, metres), so vertices go in as they are."""
    arrays = [("POSITION", mesh.vertices), ("NORMAL", mesh.vertex_normals())]
    if mesh.colors is not None:
        arrays.append(("COLOR_0", srgb_to_linear(mesh.colors)))
    views, accessors, chunks, offset = [], [], [], 0

    def add(array: np.ndarray, component: int, kind: str, target: int) -> int:
        nonlocal offset
        chunk = np.ascontiguousarray(array).tobytes()
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(chunk), "target": target})
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": component, "type": kind, "count": array.size // width(kind)}
        )
        chunks.append(chunk)
        offset += len(chunk)
        return len(accessors) - 1

    def width(kind: str) -> int:
        return 3 if kind == "VEC3" else 1

    attributes = {name: add(array.astype("<f4"), _FLOAT, "VEC3", _ARRAY_BUFFER) for name, array in arrays}
    accessors[0] |= {"min": mesh.vertices.min(0).tolist(), "max": mesh.vertices.max(0).tolist()}
    indices = add(mesh.faces.astype("<u4").reshape(-1), _UINT32, "SCALAR", _ELEMENT_ARRAY_BUFFER)
    material = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": True}
    document = {
        "asset": {"version": "2.0", "generator": "tbsd-score-distillation"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [material],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    if unlit:
        material["extensions"] = {"KHR_materials_unlit": {}}
        document["extensionsUsed"] = ["KHR_materials_unlit"]
    head = json.dumps(document, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    body = b"".join(chunks)  # every element is 4 bytes wide, so all parts stay aligned
    total = 12 + 8 + len(head) + 8 + len(body)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(head), b"JSON"),
            head,
            struct.pack("<I4s", len(body), b"BIN\0"),
            body,
        ]
    )


def write_glb(mesh: Mesh, path: str | os.PathLike, unlit: bool = True) -> None:
    """Write a .glb file; see glb_bytes."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(glb_bytes(mesh, unlit))
