"""The tree of a GLB, checked and made flat before trimesh sees it.

trimesh walks the nodes in a time that grows with the square of their depth, unpacks every array that a file has, and
does not read what it does not know. So the world matrices are computed here, and it is handed one mesh for each
primitive with nothing but the arrays that we use.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from .look import ERRORS, Look, look_of
from .rig import POSED, body_of, bound, decoded, moving_parts

MAX_DESCRIPTION = 1 << 26  # bytes of JSON
MAX_NODES, MAX_PRIMITIVES = 300_000, 20_000
MOVES = ("matrix", "translation", "rotation", "scale")
MAX_NAME = 60  # characters of a material's name
TRIANGLES = (4, 5)  # modes: triangles, strips
INTEGERS = {5120: 127, 5121: 255, 5122: 32767, 5123: 65535}  # the largest of each kind
DRACO = "KHR_draco_mesh_compression"
CLOSED = {  # extensions that hide the geometry from a reader that lacks them
    DRACO: "Export it without Draco compression, or: pip install DracoPy",
    "EXT_meshopt_compression": "Export it without meshopt compression (gltfpack: leave out -c).",
    "EXT_mesh_gpu_instancing": "Export it without GPU instancing, so that each object is a node of its own.",
}


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
        _check_needs(tree, name, max_faces)
        report = moving_parts(tree)
        shown = _shown(tree, data, end, name, max_faces, report)
        return _flattened(tree, data, end, shown, name, max_faces, report)
    except _Refused as error:
        raise ValueError(str(error)) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{name} is damaged: its glTF description cannot be read ({reason}). Export it again."
        ) from error


class _Refused(Exception):
    """A file that needs something we do not read."""


def _check_needs(tree: dict, name: str, max_faces: int) -> None:
    outside = [x["uri"] for key in ("buffers", "images") for x in tree.get(key, []) if "uri" in x]
    if any(not uri.startswith("data:") for uri in outside):
        raise _Refused(f"{name} refers to other files. Save it as one GLB with everything inside.")
    for extension in tree.get("extensionsRequired", []):
        if extension in CLOSED and not (extension == DRACO and _has_draco()):
            raise _Refused(f"{name} needs {extension}, which is not read. {CLOSED[extension]}")
    largest = max((int(a["count"]) for a in tree.get("accessors", [])), default=0)
    if largest > 3 * max_faces:
        raise _Refused(f"{name} declares {largest} elements; at most {max_faces} faces are read. Simplify it first.")
    n_nodes = len(tree.get("nodes", []))
    if n_nodes > MAX_NODES:
        raise _Refused(f"{name} has {n_nodes:,} nodes; at most {MAX_NODES:,} are read. Join its objects into one.")


def _has_draco() -> bool:
    from importlib.util import find_spec

    return find_spec("DracoPy") is not None


def _shown(
    tree: dict, data: bytes, end: int, name: str, max_faces: int, report: list[str]
) -> dict[int, np.ndarray]:
    """World matrices [K, 4, 4] of the places where each mesh is shown. A line is added to `report` for a pose."""
    nodes, places, scenes = tree.get("nodes", []), defaultdict(list), tree.get("scenes", [])
    skinned, where = [], {}
    moved = {i: k for k, i in enumerate(i for i, node in enumerate(nodes) if not node.keys().isdisjoint(MOVES))}
    local, world, reached = _local_matrices([nodes[i] for i in moved]), [np.eye(4)], set()
    stack = [(root, 0) for root in (scenes[tree.get("scene", 0)].get("nodes", []) if scenes else [])]
    while stack:
        index, at = stack.pop()  # its parent's matrix is world[at]
        if index in reached:
            raise _Refused(f"{name} is damaged: node {index} has two parents, or is inside itself. Export it again.")
        reached.add(index)
        node = nodes[index]
        if index in moved:
            world.append(world[at] @ local[moved[index]])
            at = len(world) - 1
        where[index] = at
        if "mesh" in node and "skin" in node:
            skinned.append((node["mesh"], node["skin"]))
        elif "mesh" in node:
            places[node["mesh"]].append(at)
        stack += [(child, at) for child in node.get("children", ())]
    for mesh, skin in skinned:  # its joints place it, and not its own node (glTF 2.0, Section 3.7.3.3)
        matrix, is_posed = bound(tree, data, end, tree["skins"][skin], world, where)
        if is_posed and POSED not in report:
            report.append(POSED)
        world.append(matrix)
        places[mesh].append(len(world) - 1)
    shown = {index: tree["meshes"][index] for index in places}
    n_primitives = sum(len(mesh["primitives"]) for mesh in shown.values())
    if n_primitives > MAX_PRIMITIVES:
        raise _Refused(
            f"{name} has {n_primitives:,} different objects; at most {MAX_PRIMITIVES:,} are read. Join them."
        )
    n_faces = sum(len(places[index]) * _n_faces(tree, mesh) for index, mesh in shown.items())
    if n_faces > max_faces:
        n_objects = sum(len(at) for at in places.values())
        raise _Refused(
            f"{name} has {n_faces:,} faces in {n_objects:,} objects; at most {max_faces:,} are read. Leave out some of "
            "the objects, or simplify them."
        )
    matrices = np.array(world)
    return {index: matrices[at] for index, at in places.items()}


def _local_matrices(nodes: list[dict]) -> np.ndarray:
    """Matrices [N, 4, 4] of nodes in their parents: matrix, then translation, rotation and scale."""

    def column(key: str, default: tuple[float, ...]) -> np.ndarray:
        return np.array([node.get(key, default) for node in nodes], dtype=np.float64).reshape(-1, len(default))

    turns = column("rotation", (0, 0, 0, 1))
    x, y, z, w = turns.T / np.maximum(np.linalg.norm(turns, axis=-1), 1e-12)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    own = np.broadcast_to(np.eye(4), (len(nodes), 4, 4)).copy()
    own[:, :3, :3] = rotation.transpose(2, 0, 1) * column("scale", (1, 1, 1))[:, None]
    own[:, :3, 3] = column("translation", (0, 0, 0))
    return column("matrix", tuple(np.eye(4).reshape(-1))).reshape(-1, 4, 4).transpose(0, 2, 1) @ own


def _n_faces(tree: dict, mesh: dict) -> int:
    total = 0
    for primitive in _surfaces(mesh):
        corners = primitive.get("indices", primitive["attributes"]["POSITION"])
        count = tree["accessors"][corners]["count"]
        total += count // 3 if primitive.get("mode", 4) == 4 else max(0, count - 2)
    return total


def _surfaces(mesh: dict) -> list[dict]:
    return [p for p in mesh["primitives"] if p.get("mode", 4) in TRIANGLES and "POSITION" in p["attributes"]]


def _flattened(
    tree: dict,
    data: bytes,
    end: int,
    shown: dict[int, np.ndarray],
    name: str,
    max_faces: int,
    report: list[str],
) -> FlatGlb:
    accessors, views = {}, {}  # new places by old ones
    meshes, matrices, looks, directions, materials, fractions, n_vertices = [], [], [], [], [], [], 0

    pictures = _pictures(tree, data, end)
    first = {picture: index for index, picture in reversed(pictures.items())}
    same = {index: first[picture] for index, picture in pictures.items()}

    def keep(kept: dict[int, int], index: int) -> int:
        return kept.setdefault(index, len(kept))

    for index, places in shown.items():
        for primitive in _surfaces(tree["meshes"][index]):
            look = look_of(tree, primitive, same)
            packed = primitive.get("extensions", {}).get(DRACO)
            had, names = primitive["attributes"], {"_uv": f"TEXCOORD_{look.channel}", "_color": "COLOR_0"}
            names |= {key: key for key in had if key == "POSITION" or packed}
            kept = {key: keep(accessors, had[old]) for key, old in names.items() if old in had}
            new: dict[str, Any] = {"attributes": kept, "mode": primitive.get("mode", 4)}
            if "indices" in primitive:
                new["indices"] = keep(accessors, primitive["indices"])
            if packed:
                new["extensions"] = {DRACO: {**packed, "bufferView": keep(views, packed["bufferView"])}}
            n_vertices += tree["accessors"][had["POSITION"]]["count"]
            meshes.append({"name": str(len(meshes)), "primitives": [new]})
            matrices.append(places if packed else places @ _unquantised(tree["accessors"][had["POSITION"]]))
            at = had.get(names["_uv"])
            fractions.append(at is not None and bool(tree["accessors"][at].get("normalized")))
            looks.append(look)
            materials.append(_material(tree, primitive))
            directions.append(_directions(tree, data, end, primitive))
    if n_vertices > 4 * max_faces:  # primitives may share one long list
        raise _Refused(
            f"{name} has {n_vertices:,} vertices; at most {max_faces:,} are read. Join or simplify its objects."
        )
    kept = [dict(tree["accessors"][index]) for index in accessors]
    if any("sparse" in accessor for accessor in kept):
        raise _Refused(f"{name} has sparse accessors, which are not read. Export it without them.")
    for accessor in kept:
        if "bufferView" in accessor:
            accessor["bufferView"] = keep(views, accessor["bufferView"])
    kept_views = [tree["bufferViews"][index] for index in views]
    if sum(view["byteLength"] for view in kept_views) > 2 * len(data):  # each is copied
        raise _Refused(f"{name} is damaged: the {len(views):,} pieces of its data overlap. Export it again.")
    buffers = tree.get("buffers", [])
    text = json.dumps({"meshes": meshes, "accessors": kept, "bufferViews": kept_views, "buffers": buffers}).encode()
    text += b" " * (-len(text) % 4)
    rest = memoryview(data)[end:]
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON")
    named = {index for look in looks for index in look.images.values()}
    base = {look.images["base_color"] for look in looks if "base_color" in look.images}
    if len(base) == 1 and not base <= pictures.keys():
        _image_bytes(tree, data, end, base.pop())  # says what is wrong
    images = {index: picture for index, picture in pictures.items() if index in named}
    return FlatGlb(b"".join([head, text, rest]), matrices, looks, images, directions, fractions, materials, report)


def _unquantised(accessor: dict) -> np.ndarray:
    """The matrix [4, 4] that makes a position of its stored numbers: integers may be fractions of their largest."""
    largest = INTEGERS.get(accessor["componentType"], 1) if accessor.get("normalized") else 1
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
    for name, key, kind, width in (("normals", "NORMAL", "VEC3", 3), ("tangents", "TANGENT", "VEC4", 4)):
        try:
            accessor, count = tree["accessors"][had[key]], tree["accessors"][had["POSITION"]]["count"]
            expected = {"componentType": 5126, "type": kind, "count": count}
            if accessor | expected != accessor or "sparse" in accessor:
                continue
            view = tree["bufferViews"][accessor["bufferView"]]
            if "uri" in tree["buffers"][view["buffer"]]:
                continue
            start, stride = view.get("byteOffset", 0), view.get("byteStride", 4 * width)
            body = memoryview(data)[end + 8 :][start : start + view["byteLength"]]
            offset = accessor.get("byteOffset", 0)
            if min(start, offset) >= 0 and stride >= 4 * width:
                found[name] = np.ndarray((count, width), "<f4", body, offset, (stride, 4))
        except ERRORS:
            continue
    return found


def _pictures(tree: dict, data: bytes, end: int) -> dict[int, bytes]:
    """The packed pictures by their numbers, without those that are not there."""
    found, n_bytes = {}, 0
    for index in range(len(tree.get("images", []))):
        try:
            picture = _image_bytes(tree, data, end, index)
        except ERRORS:
            continue
        n_bytes += len(picture)
        if n_bytes > 2 * len(data):  # they overlap, and each is copied
            break
        found[index] = picture
    return found


def _image_bytes(tree: dict, data: bytes, end: int, index: int) -> bytes:
    image = tree["images"][index]
    if "uri" in image:
        return decoded(image["uri"])
    view = tree["bufferViews"][image["bufferView"]]
    buffer, start = tree["buffers"][view["buffer"]], view.get("byteOffset", 0)
    body = body_of(buffer, data, end)
    return bytes(body[start : start + view["byteLength"]])
