"""The core's meshes as ComfyUI's MESH and back. Colours travel as an extra attribute, which core nodes ignore."""

from __future__ import annotations

import torch

from ...tbsd_core.mesh import Mesh, MeshConfig, extract_mesh
from ...tbsd_core.scenes import Scene, Scene3D
from .autograd import optimization_mode
from .files import mesh_class
from .render import device_copy


def extract(scene: Scene, config: MeshConfig):
    """MESH of a 3D scene. Raises ValueError for a picture."""
    if not scene.uses_cameras:
        raise ValueError("Extract Mesh needs a 3D scene; a picture has no surface.")
    if not isinstance(scene, Scene3D):
        raise ValueError(
            f"Extract Mesh needs a scene with a density, got {type(scene).__name__}: splats have no surface. "
            "Connect a NeRF Scene, or use Save Splats."
        )
    with optimization_mode():
        return to_mesh(extract_mesh(device_copy(scene), config))


def to_mesh(mesh: Mesh):
    """MESH with vertices [1, N, 3], faces [1, M, 3] and vertex_colors [1, N, 3] in [0, 1] or None."""
    out = mesh_class()(torch.from_numpy(mesh.vertices)[None], torch.from_numpy(mesh.faces)[None])
    out.vertex_colors = None if mesh.colors is None else torch.from_numpy(mesh.colors)[None]
    return out


def from_mesh(mesh) -> Mesh:
    """The first mesh of a batch; other nodes' meshes have no colours."""
    colors = getattr(mesh, "vertex_colors", None)
    return Mesh(
        mesh.vertices[0].detach().float().cpu().numpy(),
        mesh.faces[0].detach().long().cpu().numpy(),
        None if colors is None else colors[0, :, :3].detach().float().cpu().numpy(),
    )
