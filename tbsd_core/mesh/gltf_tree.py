"""The tree of a GLB, checked and made flat before trimesh sees it.

trimesh walks the nodes in a time that grows with the square of their depth, unpacks every array that a file has, and
does not read what it does not know. So the world matrices are computed here, and it is handed one mesh for each
primitive with nothing but the arrays that we use.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gltf_data import KINDS, SPARSE, array_of, joined_views, picture_of, pictures_of
from .gltf_needs import DRACO, Refused, check_needs
from .gltf_nodes import FAN, shown_at, surfaces
from .look import ERRORS, Look, look_of
from .rig import moving_parts

MAX_DESCRIPTION = 1 << 26  # bytes of JSON
MAX_NAME = 60  # characters of a material's name


@dataclass(frozen=True)
class FlatGlb:
    """A GLB without nodes: its meshes have one primitive each and are named "0", "1" ..."""

    data: bytes
    matrices: list[np.ndarray]  # of each mesh: where it is shown [K, 4, 4]
    looks: list[Look]  # of each mesh
    images: dict[int, bytes]  # those that the looks name, packed; without those that are not there
    directions: list[dict[str, np.ndarray]]  # of each mesh: normals [N, 3], tangents [N, 4], where it has them
    is_fraction: list[bool]  # of each mesh: whether integers as texture coordinates are fractions of their largest
    materials: list[tuple[int, str]]  # of each mesh: the number of its material in the file, -1 for none, and its name
    report: list[str]  # what a rigged or animated file loses


def flat_glb(data: bytes, name: str, max_faces: int) -> FlatGlb:
    """Read the description of a GLB, refuse unreadable ones, and leave out everything that we do not need.

    The attributes _uv and _color hold the texture coordinates of the look's pictures and the colours as the file has
    them, which trimesh would turn over or round.

    Raises:
        ValueError: no GLB, damaged, too many nodes, primitives or elements, other files or extensions needed.
    """
    if len(data) < 20 or data[:4] != b"glTF":
        raise ValueError(f"{name} is not a GLB file: it does not begin with 'glTF'.")
    end = 20 + struct.unpack_from("<I", data, 12)[0]
    if end - 20 > MAX_DESCRIPTION:
        raise ValueError(
            f"{name} has a description of {(end - 20) >> 20} MB; at most {MAX_DESCRIPTION >> 20} MB are read. Join its "
            "objects into one before you export it."
        )
    try:
        tree = json.loads(data[20:end])
        check_needs(tree, max_faces)
        report = moving_parts(tree)
        shown = shown_at(tree, data, end, max_faces, report)
        return _flattened(tree, data, end, shown, max_faces, report)
    except Refused as error:
        raise ValueError(f"{name} {error}") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{name} is damaged: its glTF description cannot be read ({reason}). Export it again."
        ) from error


def _flattened(
    tree: dict, data: bytes, end: int, shown: dict[int, np.ndarray], max_faces: int, report: list[str]
) -> FlatGlb:
    pieces, n_vertices = _Pieces(tree), 0
    meshes, matrices, looks, directions, materials, fractions = [], [], [], [], [], []
    pictures = pictures_of(tree, data, end)
    first = {picture: index for index, picture in reversed(pictures.items())}
    same = {index: first[picture] for index, picture in pictures.items()}
    for index, places in shown.items():
        for primitive in surfaces(tree["meshes"][index]):
            look = look_of(tree, primitive, same)
            packed = primitive.get("extensions", {}).get(DRACO)
            had, uv = primitive["attributes"], f"TEXCOORD_{look.channel}"
            position = tree["accessors"][had["POSITION"]]
            names = {"_uv": uv, "_color": "COLOR_0"} | {key: key for key in had if key == "POSITION" or packed}
            fits = [old for old in had if packed or tree["accessors"][had[old]]["count"] == position["count"]]
            attributes = {key: pieces.accessor(had[old]) for key, old in names.items() if old in fits}
            new: dict[str, Any] = {"attributes": attributes, "mode": primitive.get("mode", 4)}
            if new["mode"] == FAN and not packed:
                new |= {"mode": 4, "indices": pieces.fan(_fan(tree, data, end, primitive))}
            elif "indices" in primitive:
                new["indices"] = pieces.accessor(primitive["indices"])
            if packed:
                new["extensions"] = {DRACO: {**packed, "bufferView": pieces.packed(packed["bufferView"])}}
            n_vertices += position["count"]
            meshes.append({"name": str(len(meshes)), "primitives": [new]})
            matrices.append(places if packed else places @ _unquantised(position))
            fractions.append(uv in had and bool(tree["accessors"][had[uv]].get("normalized")))
            looks.append(look)
            materials.append(_material(tree, primitive))
            directions.append(_directions(tree, data, end, primitive))
    if n_vertices > 4 * max_faces:  # primitives may share one long list
        raise Refused(f"has {n_vertices:,} vertices; at most {max_faces:,} are read. Join or simplify its objects.")
    text = json.dumps({"meshes": meshes, **pieces.described(len(data))}).encode()
    text += b" " * (-len(text) % 4)
    rest = memoryview(data)[end:]
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON")
    named = {index for look in looks for index in look.images.values()}
    base = {look.images["base_color"] for look in looks if "base_color" in look.images}
    if len(base) == 1 and not base <= pictures.keys():
        picture_of(tree, data, end, base.pop())  # says what is wrong
    images = {index: picture for index, picture in pictures.items() if index in named}
    return FlatGlb(b"".join([head, text, rest]), matrices, looks, images, directions, fractions, materials, report)


class _Pieces:
    """The accessors that are kept, and the pieces of data that they lie in. Each is asked for by its old number, and
    answers with its new one."""

    def __init__(self, tree: dict) -> None:
        self._tree = tree
        self._accessors: dict[Any, int] = {}
        self._packed: dict[int, int] = {}
        self._fans: list[np.ndarray] = []

    def accessor(self, index: int) -> int:
        return self._accessors.setdefault(index, len(self._accessors))

    def packed(self, view: int) -> int:
        """A piece that a decoder takes as a whole. Pieces of this kind have the first numbers."""
        return self._packed.setdefault(view, len(self._packed))

    def fan(self, corners: np.ndarray) -> int:
        """An accessor of our own."""
        self._fans.append(corners)
        return self.accessor(-len(self._fans))

    def described(self, n_bytes: int) -> dict[str, list[dict]]:
        """The accessors, bufferViews and buffers of a glTF.

        Raises:
            Refused: sparse accessors; pieces that overlap, to more than twice the file's n_bytes.
        """
        tree, n_packed = self._tree, len(self._packed)
        kept = {new: dict(tree["accessors"][old]) for old, new in self._accessors.items() if old >= 0}
        if any("sparse" in accessor for accessor in kept.values()):
            raise Refused(SPARSE)
        number = {index: k for k, index in enumerate({x["bufferView"]: 0 for x in kept.values() if "bufferView" in x})}
        joined, where = joined_views([tree["bufferViews"][index] for index in number])
        for accessor in kept.values():
            if "bufferView" in accessor:
                view, offset = where[number[accessor["bufferView"]]]
                accessor |= {"bufferView": n_packed + view, "byteOffset": accessor.get("byteOffset", 0) + offset}
        views = [tree["bufferViews"][index] for index in self._packed] + joined
        sizes = [view["byteLength"] for view in views]
        if min(sizes, default=0) < 0 or sum(sizes) > 2 * n_bytes:  # each is copied
            raise Refused(f"is damaged: the {len(views):,} pieces of its data overlap. Export it again.")
        buffers, body = list(tree.get("buffers", [])), b""
        for k, corners in enumerate(self._fans, 1):
            own = {"bufferView": len(views), "byteOffset": len(body), "componentType": 5125, "type": "SCALAR"}
            kept[self._accessors[-k]] = {**own, "count": corners.size}
            body += corners.astype("<u4").tobytes()
        if body:
            views.append({"buffer": len(buffers), "byteLength": len(body)})
            uri = "data:application/octet-stream;base64," + base64.b64encode(body).decode()
            buffers.append({"byteLength": len(body), "uri": uri})
        return {"accessors": [kept[new] for new in range(len(kept))], "bufferViews": views, "buffers": buffers}


def _fan(tree: dict, data: bytes, end: int, primitive: dict) -> np.ndarray:
    """The corners [M, 3] of a fan's triangles: all have its first corner, which comes last (glTF 2.0, 3.7.2.1)."""
    if "indices" in primitive:
        corners = array_of(tree, data, end, primitive["indices"])[:, 0]
    else:
        corners = np.arange(tree["accessors"][primitive["attributes"]["POSITION"]]["count"])
    return np.stack([corners[1:-1], corners[2:], np.broadcast_to(corners[:1], corners[2:].shape)], -1)


def _unquantised(accessor: dict) -> np.ndarray:
    """The matrix [4, 4] that makes a position of its stored numbers: integers may be fractions of their largest."""
    kind = np.dtype(KINDS[accessor["componentType"]])
    largest = np.iinfo(kind).max if accessor.get("normalized") and kind.kind in "iu" else 1
    return np.diag([1 / largest] * 3 + [1.0])


def _material(tree: dict, primitive: dict) -> tuple[int, str]:
    """Number and name; a material without a name gets its number as its name."""
    if "material" not in primitive:
        return -1, "no material"
    number = int(primitive["material"])
    name = tree["materials"][number].get("name")
    return number, name[:MAX_NAME] if isinstance(name, str) and name.strip() else f"material {number}"


def _directions(tree: dict, data: bytes, end: int, primitive: dict) -> dict[str, np.ndarray]:
    """The normals [N, 3] and tangents [N, 4] of a primitive, if they are as glTF asks; nothing is copied."""
    found, had = {}, primitive["attributes"]
    if DRACO in primitive.get("extensions", {}):
        return found
    for name, key, kind in (("normals", "NORMAL", "VEC3"), ("tangents", "TANGENT", "VEC4")):
        try:
            accessor, count = tree["accessors"][had[key]], tree["accessors"][had["POSITION"]]["count"]
            expected = {"componentType": 5126, "type": kind, "count": count}
            if accessor | expected != accessor or "sparse" in accessor:
                continue
            if "uri" not in tree["buffers"][tree["bufferViews"][accessor["bufferView"]]["buffer"]]:
                found[name] = array_of(tree, data, end, had[key])
        except ERRORS:
            continue
    return found
