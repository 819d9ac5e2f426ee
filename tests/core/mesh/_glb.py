"""GLB files, written piece by piece as no library would do it."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
from PIL import Image
from tbsd_pack.tbsd_core.mesh.load import load_mesh

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
UVS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=np.float32)
FACES = np.array([0, 1, 2, 0, 2, 3], dtype=np.uint16)
CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
GLOSS = "KHR_materials_pbrSpecularGlossiness"


class Writer:
    """The pieces of a GLB, and what describes them."""

    def __init__(self) -> None:
        self.body, self.views, self.accessors = b"", [], []

    def view(self, data: bytes, **more: int) -> int:
        self.body += bytes(-len(self.body) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data), **more})
        self.body += data
        return len(self.views) - 1

    def add(self, values: np.ndarray, **more: Any) -> int:
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        named = {"type": kind, "componentType": CODES[values.dtype.str[1:]], "count": len(values)}
        self.accessors.append({"bufferView": self.view(values.tobytes()), **named, **more})
        return len(self.accessors) - 1

    def quad(self, x: float = 0.0, *, uvs: np.ndarray | None = UVS, colors: Any = None, **more: Any) -> dict:
        """A primitive; its colours are linear light."""
        attributes = {"POSITION": self.add(QUAD + np.array([x, 0, 0], dtype=np.float32))}
        if uvs is not None:
            attributes["TEXCOORD_0"] = self.add(uvs)
        if colors is not None:
            attributes["COLOR_0"] = self.add(np.broadcast_to(np.float32(colors), (4, 3)).copy())
        return {"attributes": attributes, "indices": self.add(FACES), **more}

    def pictures(self, *pictures: np.ndarray) -> dict[str, list]:
        images = [{"bufferView": self.view(png(picture)), "mimeType": "image/png"} for picture in pictures]
        return {"images": images, "textures": [{"source": i} for i in range(len(images))]}

    def glb(self, primitives: list[dict], **tree: Any) -> bytes:
        whole = {
            "asset": {"version": "2.0"},
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": primitives}],
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.body)}],
        }
        text = json.dumps(whole | tree).encode()
        text += b" " * (-len(text) % 4)
        body = self.body + bytes(-len(self.body) % 4)
        head = struct.pack("<4sIII4s", b"glTF", 2, 28 + len(text) + len(body), len(text), b"JSON")
        return head + text + struct.pack("<I4s", len(body), b"BIN\0") + body


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def plain(*color: int) -> np.ndarray:
    return np.full((8, 8, 3), color, dtype=np.uint8)


def textured(index: int = 0, **more: Any) -> dict:
    return {"pbrMetallicRoughness": {"baseColorTexture": {"index": index}, **more}}


def loaded(folder, data: bytes, **options: bool):
    (folder / "a.glb").write_bytes(data)
    return load_mesh(folder / "a.glb", **options)
