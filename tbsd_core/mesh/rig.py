"""The rig, animations and shape keys of a GLB. They are not kept, but a rig says where its mesh stands."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

POSED = "not kept: its pose, so it is shown as it was bound to its rig"


def moving_parts(tree: dict) -> list[str]:
    """One line about what moves in a file, which is not kept."""
    targets = any(p.get("targets") for mesh in tree.get("meshes", []) for p in mesh["primitives"])
    found = {"rig": tree.get("skins"), "animations": tree.get("animations"), "shape keys": targets}
    lost = [word for word, value in found.items() if value]
    return [f"not kept: its {', '.join(lost)}"] if lost else []


def bound(
    tree: dict, data: bytes, end: int, skin: dict, world: list[np.ndarray], where: dict[int, int]
) -> tuple[np.ndarray, bool]:
    """The world matrix [4, 4] of a mesh as it was bound to its joints, and whether they have moved apart since.

    Args:
        end: of the description, in the file.
        world: matrices [4, 4]; where: which of them is each node's.
    """
    joints = [joint for joint in skin["joints"] if joint in where]
    if not joints:
        return np.eye(4), False
    inverse = np.broadcast_to(np.eye(4), (len(skin["joints"]), 4, 4))
    if "inverseBindMatrices" in skin:
        inverse = _bind_matrices(tree, data, end, skin["inverseBindMatrices"])
    placed = np.stack([world[where[j]] @ inverse[k] for k, j in enumerate(skin["joints"]) if j in where])
    is_posed = not np.allclose(placed, placed[:1], rtol=0, atol=1e-3 * max(float(np.abs(placed[0]).max()), 1e-12))
    return placed[0], is_posed


def _bind_matrices(tree: dict, data: bytes, end: int, index: int) -> np.ndarray:
    """Inverse bind matrices [K, 4, 4]; glTF stores columns."""
    accessor = tree["accessors"][index]
    view = tree["bufferViews"][accessor["bufferView"]]
    body = body_of(tree["buffers"][view["buffer"]], data, end)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values = np.frombuffer(body[start : start + 64 * accessor["count"]], "<f4").reshape(-1, 4, 4)
    return values.astype(np.float64).transpose(0, 2, 1)


def body_of(buffer: dict, data: bytes, end: int) -> Any:
    """The bytes of a buffer: in the description, or behind it."""
    return decoded(buffer["uri"]) if "uri" in buffer else memoryview(data)[end + 8 :]


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition("base64,")[2])
