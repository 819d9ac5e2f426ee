"""The nodes of a glTF file: where each mesh is shown. All is counted before any matrix is made."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from .gltf_data import numbers_of
from .gltf_needs import MAX_NODES, Refused
from .rig import POSED, bound

MAX_PRIMITIVES = 20_000
MOVES = {"matrix", "translation", "rotation", "scale"}
FAN = 6
MODES = (4, 5, FAN)  # triangles, strips
INSTANCING = "EXT_mesh_gpu_instancing"
STILL = {"translation": (0.0, 0.0, 0.0), "rotation": (0.0, 0.0, 0.0, 1.0), "scale": (1.0, 1.0, 1.0)}


def shown_at(tree: dict, data: bytes, end: int, max_faces: int, report: list[str]) -> dict[int, np.ndarray]:
    """World matrices [K, 4, 4] of the places where each mesh is shown. A line is added to `report` for a pose.

    Raises:
        Refused: too many faces or objects, a node with two parents.
        ValueError, KeyError, IndexError, TypeError, AttributeError: damaged.
    """
    nodes, places, scenes = tree.get("nodes", []), defaultdict(list), tree.get("scenes", [])
    skinned, where = [], {}
    moved = {i: k for k, i in enumerate(i for i, node in enumerate(nodes) if not node.keys().isdisjoint(MOVES))}
    local, world, reached = _local_matrices([nodes[i] for i in moved]), [np.eye(4)], set()
    stack = [(root, 0) for root in (scenes[tree.get("scene", 0)].get("nodes", []) if scenes else [])]
    while stack:
        index, at = stack.pop()  # its parent's matrix is world[at]
        if index in reached:
            raise Refused(f"is damaged: node {index} has two parents, or is inside itself. Export it again.")
        reached.add(index)
        node = nodes[index]
        if index in moved:
            world.append(world[at] @ local[moved[index]])
            at = len(world) - 1
        where[index] = at
        if "mesh" in node and "skin" in node:
            skinned.append((node["mesh"], node["skin"]))
        elif "mesh" in node:
            places[node["mesh"]].append((at, _instances_of(node)))
        stack += [(child, at) for child in node.get("children", ())]
    for mesh, skin in skinned:  # its joints place it, and not its own node (glTF 2.0, Section 3.7.3.3)
        matrix, is_posed = bound(tree, data, end, tree["skins"][skin], world, where)
        if is_posed and POSED not in report:
            report.append(POSED)
        world.append(matrix)
        places[mesh].append((len(world) - 1, {}))
    _check_counts(tree, places, max_faces)
    matrices, made = np.array(world), {}
    for mesh, given in places.items():
        if any(instances for _, instances in given):
            own = [matrices[at] @ _instance_matrices(tree, data, end, instances) for at, instances in given]
            made[mesh] = np.concatenate(own)
        else:
            made[mesh] = matrices[[at for at, _ in given]]
    return {mesh: found for mesh, found in made.items() if len(found)}


def _check_counts(tree: dict, places: dict[int, list[tuple[int, dict]]], max_faces: int) -> None:
    meshes = {index: tree["meshes"][index] for index in places}
    n_primitives = sum(len(mesh["primitives"]) for mesh in meshes.values())
    if n_primitives > MAX_PRIMITIVES:
        raise Refused(f"has {n_primitives:,} different objects; at most {MAX_PRIMITIVES:,} are read. Join them.")
    counts = {index: sum(_n_instances(tree, instances) for _, instances in at) for index, at in places.items()}
    n_objects = sum(counts.values())
    n_faces = sum(count * _n_faces(tree, meshes[index]) for index, count in counts.items())
    if n_faces > max_faces:
        raise Refused(
            f"has {n_faces:,} faces in {n_objects:,} objects; at most {max_faces:,} are read. Leave out some of "
            "the objects, or simplify them."
        )
    if n_objects > MAX_NODES:  # also of those without faces
        raise Refused(f"has {n_objects:,} objects; at most {MAX_NODES:,} are read. Join or leave out some.")


def _instances_of(node: dict) -> dict[str, int]:
    """The accessors of a node's instances, by TRANSLATION, ROTATION, SCALE and others; none for an ordinary node."""
    return node.get("extensions", {}).get(INSTANCING, {}).get("attributes", {})


def _n_instances(tree: dict, instances: dict[str, int]) -> int:
    counts = {tree["accessors"][index]["count"] for index in instances.values()}
    if len(counts) > 1:
        raise ValueError(f"a node has instances with {sorted(counts)} places, turns and sizes")
    return int(counts.pop()) if counts else 1


def _instance_matrices(tree: dict, data: bytes, end: int, instances: dict[str, int]) -> np.ndarray:
    """Matrices [K, 4, 4] of instances in their node."""
    count = _n_instances(tree, instances)
    given = {key: instances.get(key.upper()) for key in STILL}
    columns = {
        key: np.tile(STILL[key], (count, 1)) if index is None else numbers_of(tree, data, end, index)
        for key, index in given.items()
    }
    if any(values.shape != (count, len(STILL[key])) for key, values in columns.items()):
        raise ValueError(f"instances of {[values.shape for values in columns.values()]} numbers")
    return _matrices(**columns)


def _local_matrices(nodes: list[dict]) -> np.ndarray:
    """Matrices [N, 4, 4] of nodes in their parents: matrix, then translation, rotation and scale."""

    def column(key: str, default: tuple[float, ...]) -> np.ndarray:
        return np.array([node.get(key, default) for node in nodes], dtype=np.float64).reshape(-1, len(default))

    own = _matrices(**{key: column(key, default) for key, default in STILL.items()})
    return column("matrix", tuple(np.eye(4).reshape(-1))).reshape(-1, 4, 4).transpose(0, 2, 1) @ own


def _matrices(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Matrices [N, 4, 4] that scale [N, 3], then turn by quaternions x, y, z, w [N, 4], then move [N, 3]."""
    x, y, z, w = rotation.T / np.maximum(np.linalg.norm(rotation, axis=-1), 1e-12)
    turned = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    made = np.broadcast_to(np.eye(4), (len(scale), 4, 4)).copy()
    made[:, :3, :3] = turned.transpose(2, 0, 1) * scale[:, None]
    made[:, :3, 3] = translation
    return made


def _n_faces(tree: dict, mesh: dict) -> int:
    total = 0
    for primitive in surfaces(mesh):
        corners = primitive.get("indices", primitive["attributes"]["POSITION"])
        count = tree["accessors"][corners]["count"]
        total += count // 3 if primitive.get("mode", 4) == 4 else max(0, count - 2)
    return total


def surfaces(mesh: dict) -> list[dict]:
    """The primitives of a mesh that have faces."""
    return [p for p in mesh["primitives"] if p.get("mode", 4) in MODES and "POSITION" in p["attributes"]]
