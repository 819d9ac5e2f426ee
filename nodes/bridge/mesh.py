"""The core's meshes as ComfyUI's MESH and back.

Colours, uvs and texture travel under the names that newer versions of MESH have for them; where the host's
MESH lacks them they are extra attributes, which core nodes ignore and ours read.
"""

from __future__ import annotations

import logging

import comfy.model_management
import comfy.utils
import torch

from ...tbsd_core.mesh import ExportConfig, Mesh, textured_mesh
from ...tbsd_core.scenes import MeshTextureScene, Scene, Scene3D
from .autograd import optimization_mode
from .compat import mesh_class
from .render import device_copy

logger = logging.getLogger(__name__)


def extract(scene: Scene, config: ExportConfig, node_id: str | None = None):
    """MESH of a 3D scene, and a sentence or more on how it was made. Raises ValueError for a picture."""
    mesh, text = cut(scene, config, node_id, "Extract Mesh")
    return to_mesh(mesh), text


def cut(scene: Scene, config: ExportConfig, node_id: str | None, node: str) -> tuple[Mesh, str]:
    """The same as the core's mesh; `node` is the name that errors give the node."""
    if not scene.uses_cameras:
        raise ValueError(f"{node} needs a 3D scene; a picture has no surface.")
    if not isinstance(scene, (Scene3D, MeshTextureScene)):
        raise ValueError(
            f"{node} needs a scene with a surface, got {type(scene).__name__}: splats have none. "
            "Connect a NeRF Scene, or use Save Splats."
        )
    bar = comfy.utils.ProgressBar(100, node_id=node_id)

    def on_progress(stage: str, done: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(100 * done), 100)

    with optimization_mode():
        mesh, report = textured_mesh(device_copy(scene), config, on_progress)
    for warning in report["warnings"]:
        logger.warning(warning)
    kind = f"texture {report['texture']} x {report['texture']}" if report["texture"] else "vertex colours"
    return mesh, "\n".join([f"{report['faces']:,} triangles, {kind}", *report["warnings"]])


def to_mesh(mesh: Mesh):
    """MESH with vertices [1, N, 3] and faces [1, M, 3]; vertex_colors [1, N, 3], uvs [1, N, 2], texture [1, H, W, 3]
    in [0, 1], each None where the mesh has none."""
    out = mesh_class()(torch.from_numpy(mesh.vertices)[None], torch.from_numpy(mesh.faces)[None])
    for name, array in (("vertex_colors", mesh.colors), ("uvs", mesh.uvs), ("texture", mesh.texture)):
        setattr(out, name, None if array is None else torch.from_numpy(array)[None])
    return out


def from_mesh(mesh) -> Mesh:
    """The first mesh of a batch, with what it carries of colours, uvs and texture.

    Meshes of a batch are padded to one size; the host's vertex_counts and face_counts then say what is real.
    """
    n, m = (getattr(mesh, name, None) for name in ("vertex_counts", "face_counts"))
    n, m = (None if count is None else int(count[0]) for count in (n, m))

    def first(name: str, length: int | None = None):
        value = getattr(mesh, name, None)
        return None if value is None else value[0][:length].detach().float().cpu()

    colors, uvs, texture = first("vertex_colors", n), first("uvs", n), first("texture")
    return Mesh(
        mesh.vertices[0][:n].detach().float().cpu().numpy(),
        mesh.faces[0][:m].detach().long().cpu().numpy(),
        None if colors is None else colors[:, :3].numpy(),
        None if uvs is None else uvs.numpy(),
        None if texture is None or uvs is None else texture[..., :3].numpy(),
    )
