"""The demands of a glTF file: extensions that it cannot be read without, other files, and sizes."""

from __future__ import annotations

import re

MAX_NODES = 300_000
DRACO = "KHR_draco_mesh_compression"
MESHOPT = "Export it again without meshopt compression (gltfpack: leave out -c)."
CLOSED = {  # extensions that hide the geometry from a reader that lacks them
    DRACO: "Export it without Draco compression, or: pip install DracoPy",
    "EXT_meshopt_compression": MESHOPT,
    "KHR_meshopt_compression": MESHOPT,
}
# Extensions that are read, and others that leave shape and place of the triangles as they are. Pictures in formats
# that are not read are named elsewhere, for a run that does not keep colours does not need them.
ACCEPTED = re.compile(
    r"""EXT_mesh_gpu_instancing | KHR_mesh_quantization | KHR_texture_transform | EXT_texture_webp
    | KHR_texture_basisu | EXT_texture_avif | MSFT_texture_dds
    | \w+?_materials?_\w+ | \w+?_lights_\w+ | KHR_techniques_webgl | MSFT_packing_\w+
    | KHR_animation_\w+ | KHR_audio\w* | KHR_interactivity | KHR_node_(?:hover|select)ability | KHR_xmp\w*
    | KHR_(?:physics|implicit)_\w+ | MSFT_(?:audio|physics|lod)\w* | OMI_\w+ | VRM\w* | GODOT_\w+
    | EXT_(?:mesh_features|mesh_manifold|instance_features|structural_metadata|feature_metadata)""",
    re.VERBOSE,
)


class Refused(Exception):
    """A file that needs something we do not read. The message is for the user, and continues the file's name."""


def check_needs(tree: dict, max_faces: int) -> None:
    """Raise Refused if a file needs other files or extensions, or declares too much."""
    outside = [x["uri"] for key in ("buffers", "images") for x in tree.get(key, []) if "uri" in x]
    if any(not uri.startswith("data:") for uri in outside):
        raise Refused("refers to other files. Save it as one GLB with everything inside.")
    for extension in tree.get("extensionsRequired", []):
        if not (ACCEPTED.fullmatch(extension) or (extension == DRACO and _has_draco())):
            fix = CLOSED.get(extension, "Export it again without it, or save it as OBJ.")
            raise Refused(f"needs {extension[:60]}, which is not read. {fix}")
    counts = [int(a["count"]) for a in tree.get("accessors", [])]
    if min(counts, default=0) < 0:
        raise Refused(f"is damaged: it declares {min(counts)} elements. Export it again.")
    if (largest := max(counts, default=0)) > 3 * max_faces:
        raise Refused(f"declares {largest} elements; at most {max_faces} faces are read. Simplify it first.")
    n_nodes = len(tree.get("nodes", []))
    if n_nodes > MAX_NODES:
        raise Refused(f"has {n_nodes:,} nodes; at most {MAX_NODES:,} are read. Join its objects into one.")


def _has_draco() -> bool:
    from importlib.util import find_spec

    return find_spec("DracoPy") is not None
