"""Binary glTF 2.0 with a base colour texture, or with vertex colours, and the maps of its surface.

Written here rather than by a library for two reasons that decide what viewers show. COLOR_0 is a
LINEAR factor (glTF 2.0, Section 3.9.2), so our sRGB colours are converted, in float32, where 8 linear
bits would band in the dark; a texture is sRGB by definition and goes in as it is. And the material follows the surface
(material.py), with everything that ComfyUI's own writer would include.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping

import numpy as np

from ..atomic import atomic_path
from ..color import srgb_to_linear
from ..embedded import fitting
from .crease import with_normals
from .material import glb_material
from .mesh import Mesh
from .texture import png_bytes

_FLOAT, _UINT32 = 5126, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE, _REPEAT = 9729, 9987, 33071, 10497
MAX_EMBEDDED = 1_000_000  # bytes: ComfyUI reads the first 2**20 of a dropped file, and the rest takes 3,000
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def glb_bytes(mesh: Mesh, extra: Mapping[str, str] | None = None) -> bytes:
    """A complete .glb file. glTF shares our axes (+y up, +z front, metres) and our uvs, so both go in as they are.

    A texture replaces the vertex colours: glTF would multiply the two. `extra` is the graph that made it; it goes
    where ComfyUI's SaveGLB puts it.
    """
    mesh = with_normals(mesh)
    surface, uvs = mesh.surface, mesh.uvs
    assert surface.normals is not None
    arrays = [("POSITION", "VEC3", mesh.vertices), ("NORMAL", "VEC3", surface.normals)]
    if uvs is not None:
        arrays.append(("TEXCOORD_0", "VEC2", uvs))
    if mesh.texture is None and mesh.colors is not None:
        arrays.append(("COLOR_0", "VEC3", srgb_to_linear(mesh.colors)))
    if surface.tangents is not None:
        arrays.append(("TANGENT", "VEC4", surface.tangents))
    views, accessors, chunks, offset = [], [], [], 0

    def view(chunk: bytes, **more: int) -> int:
        nonlocal offset
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(chunk), **more})
        chunks.append(chunk + b"\0" * (-len(chunk) % 4))  # every part begins on a multiple of 4
        offset += len(chunks[-1])
        return len(views) - 1

    def add(array: np.ndarray, component: int, kind: str, target: int) -> int:
        index = view(np.ascontiguousarray(array).tobytes(), target=target)
        accessors.append(
            {"bufferView": index, "componentType": component, "type": kind, "count": array.size // _WIDTH[kind]}
        )
        return len(accessors) - 1

    attributes = {name: add(array.astype("<f4"), _FLOAT, kind, _ARRAY_BUFFER) for name, kind, array in arrays}
    accessors[0] |= {"min": mesh.vertices.min(0).tolist(), "max": mesh.vertices.max(0).tolist()}
    indices = add(mesh.faces.astype("<u4").reshape(-1), _UINT32, "SCALAR", _ELEMENT_ARRAY_BUFFER)
    pictures: list[np.ndarray] = []

    def add_picture(values: np.ndarray) -> dict[str, int]:
        pictures.append(values)
        return {"index": len(pictures) - 1}

    material = glb_material(mesh, add_picture)
    picture = {}
    if pictures:
        repeats = uvs is not None and bool((np.abs(uvs - 0.5) > 0.5 + 1e-4).any())
        wrap = _REPEAT if repeats else _CLAMP_TO_EDGE
        images = [{"bufferView": view(png_bytes(values)), "mimeType": "image/png"} for values in pictures]
        picture = {
            "textures": [{"source": i, "sampler": 0} for i in range(len(pictures))],
            "images": images,
            "samplers": [
                {
                    "magFilter": _LINEAR,
                    "minFilter": _LINEAR_MIPMAP_LINEAR,
                    "wrapS": wrap,
                    "wrapT": wrap,
                }
            ],
        }
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
        **picture,
    }
    if embedded := fitting(extra or {}, MAX_EMBEDDED, "A GLB file"):
        document["asset"]["extras"] = embedded
    if "extensions" in material:
        document["extensionsUsed"] = list(material["extensions"])
    head = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    head += b" " * (-len(head) % 4)
    body = b"".join(chunks)
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


def write_glb(mesh: Mesh, path: str | os.PathLike, extra: Mapping[str, str] | None = None) -> None:
    """Write a .glb file; see glb_bytes."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(glb_bytes(mesh, extra))
