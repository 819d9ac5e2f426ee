"""The core's meshes as ComfyUI's MESH and back, with everything that it carries.

Everything travels under the names that MESH has on a current host. Where the host's class lacks them they are extra
attributes, which its own nodes ignore and ours read. Vertex colours are linear there and sRGB here (tbsd_core.color).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ....tbsd_core.color import linear_to_srgb, srgb_to_linear
from ....tbsd_core.mesh import Mesh
from ....tbsd_core.mesh.surface import AT_VERTICES, MAPS, Surface
from ..compat import mesh_class


def to_mesh(mesh: Mesh) -> Any:
    """MESH with vertices [1, N, 3], faces [1, M, 3], and what the mesh has beside them, each None if it has none."""
    out = mesh_class()(torch.from_numpy(mesh.vertices)[None], torch.from_numpy(mesh.faces)[None])
    colors = None if mesh.colors is None else srgb_to_linear(mesh.colors).astype(np.float32)
    arrays = {"vertex_colors": colors, "uvs": mesh.uvs, "texture": mesh.texture}
    arrays |= {name: mesh.surface.arrays.get(name) for name in (*AT_VERTICES, *MAPS)}
    for name, array in arrays.items():
        setattr(out, name, None if array is None else torch.from_numpy(array)[None])
    out.unlit, out.occlusion_in_mr = mesh.unlit, mesh.surface.has_occlusion
    out.material = dict(mesh.surface.factors) or None
    return out


def several(mesh: Any) -> list[str]:
    """A note on a batch."""
    n = len(mesh.vertices)
    return [f"the first of {n} meshes; Merge Meshes makes one of them"] if n > 1 else []


def from_mesh(mesh: Any, index: int = 0) -> Mesh:
    """One mesh of a batch.

    Meshes of a batch are padded to one size; the host's vertex_counts and face_counts then say what is real.
    """
    n, m = (getattr(mesh, name, None) for name in ("vertex_counts", "face_counts"))
    n, m = (None if count is None else int(count[index]) for count in (n, m))

    def own(name: str, length: int | None = None) -> np.ndarray | None:
        value = getattr(mesh, name, None)
        if value is None:
            return None
        return value[min(index, len(value) - 1)][:length].detach().to("cpu", torch.float32, copy=True).numpy()

    colors, uvs, texture = own("vertex_colors", n), own("uvs", n), own("texture")
    if colors is not None:
        colors = linear_to_srgb(np.clip(colors[:, :3], 0, 1)).astype(np.float32)
    carried: dict[str, Any] = {name: own(name, n) for name in AT_VERTICES} | {name: own(name) for name in MAPS}
    surface = Surface(
        **carried,
        has_occlusion=bool(getattr(mesh, "occlusion_in_mr", False)),
        factors=dict(getattr(mesh, "material", None) or {}),
    )
    return Mesh(
        mesh.vertices[index][:n].detach().float().cpu().numpy(),
        mesh.faces[index][:m].detach().long().cpu().numpy(),
        colors,
        uvs,
        None if texture is None or uvs is None else texture[..., :3],
        bool(getattr(mesh, "unlit", False)),
        surface,
    )
