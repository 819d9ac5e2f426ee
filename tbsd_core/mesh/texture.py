"""From a mesh to a scene that paints it, and from the painted scene back to the mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..renderer.rasterize import interpolate
from ..scenes.mesh_texture import MeshTextureConfig, MeshTextureScene
from .mesh import Mesh
from .uv import UVConfig, dilate, texel_fragments, unwrap, uv_overlap

CREASE = 40.0  # degrees: edges that fold more than this stay sharp
MAX_OVERLAP = 0.01  # of the texture; texture coordinates with more are not used
UP_AXES = ("y", "z")


@dataclass(frozen=True, kw_only=True)
class PlacementConfig:
    """How a mesh from elsewhere stands in the scene, whose front faces +z and whose up is +y."""

    radius: float = 0.8  # of the sphere around it, world units; the scene is the unit ball
    up: str = "y"  # the mesh's own upward axis: y (glTF, Blender's export) or z (CAD, scans)
    turn: float = 0.0  # degrees, counter-clockwise from above, by which it is turned so that its front shows

    def __post_init__(self) -> None:
        if not 0 < self.radius <= 1:
            raise ValueError(f"PlacementConfig: radius must lie in (0, 1], got {self.radius}.")
        if self.up not in UP_AXES:
            raise ValueError(f"PlacementConfig: up must be {' or '.join(UP_AXES)}, got {self.up!r}.")
        if not np.isfinite(self.turn):
            raise ValueError(f"PlacementConfig: turn must be a number of degrees, got {self.turn}.")


def placement(vertices: np.ndarray, config: PlacementConfig) -> np.ndarray:
    """The matrix [4, 4] from own coordinates to the scene: centred on the box around it, upright, turned, scaled.

    Raises:
        ValueError: the vertices do not span any extent.
    """
    upright = np.eye(3) if config.up == "y" else np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    a = np.radians(config.turn)
    turned = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]) @ upright
    stood = vertices.astype(np.float64) @ turned.T
    centre = (stood.min(0) + stood.max(0)) / 2
    reach = np.linalg.norm(stood - centre, axis=-1).max()
    if not reach > 0:
        raise ValueError("The mesh has no extent: all of its vertices are in one place.")
    scale = config.radius / reach
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned * scale, -centre * scale
    return matrix


def corner_normals(vertices: np.ndarray, faces: np.ndarray, crease: float = CREASE) -> np.ndarray:
    """Unit normals [M, 3, 3] at the corners of the faces: means over the faces around the vertex, weighted by area,
    of those that fold away by less than `crease` degrees. Curved surfaces look smooth and edges stay sharp."""
    corner = vertices[faces].astype(np.float64)
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    unit = area / np.maximum(np.linalg.norm(area, axis=-1, keepdims=True), 1e-20)
    n_corners = faces.size
    vertex = faces.reshape(-1)
    order = np.argsort(vertex, kind="stable")
    around, first, count = np.unique(vertex[order], return_index=True, return_counts=True)
    group = np.searchsorted(around, vertex)  # of each corner
    n_pairs = count[group]
    mine = np.repeat(np.arange(n_corners), n_pairs)
    offset = np.arange(len(mine)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
    other = order[np.repeat(first[group], n_pairs) + offset] // 3
    alike = (unit[mine // 3] * unit[other]).sum(-1) > np.cos(np.radians(crease))
    total = np.zeros((n_corners, 3))
    for axis in range(3):
        total[:, axis] = np.bincount(mine[alike], weights=area[other[alike], axis], minlength=n_corners)
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    total = np.where(length > 1e-20, total / np.maximum(length, 1e-20), unit[np.arange(n_corners) // 3])
    return total.reshape(-1, 3, 3).astype(np.float32)


def texture_scene(
    mesh: Mesh,
    config: MeshTextureConfig | None = None,  # its sizes are replaced by those of the mesh
    place: PlacementConfig | None = None,
) -> MeshTextureScene:
    """A scene that paints this mesh.

    Raises:
        ValueError: the mesh has no faces or no extent, or is too large.
    """
    if len(mesh.faces) == 0:
        raise ValueError(f"The mesh has {len(mesh.vertices)} vertices and no faces: there is nothing to paint.")
    matrix = placement(mesh.vertices[np.unique(mesh.faces)], place or PlacementConfig())
    vertices = mesh.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    sizes = {"n_vertices": len(mesh.vertices), "n_faces": len(mesh.faces)}
    scene = MeshTextureScene(replace(config or MeshTextureConfig(), **sizes))
    scene.set_geometry(
        torch.from_numpy(vertices).float(),
        torch.from_numpy(mesh.faces.astype(np.int64)),
        torch.from_numpy(corner_normals(vertices, mesh.faces)),
        torch.from_numpy(matrix).float(),
    )
    return scene


def own_coordinates(scene: MeshTextureScene) -> np.ndarray:
    """Vertices [N, 3] where the mesh had them before it was placed."""
    place = scene.place.double().cpu().numpy()
    return ((scene.vertices.double().cpu().numpy() - place[:3, 3]) @ np.linalg.inv(place[:3, :3]).T).astype(np.float32)


@torch.no_grad()
def painted_mesh(
    scene: MeshTextureScene,
    config: UVConfig | None = None,
    uvs: np.ndarray | None = None,  # [N, 2] of the mesh's own, kept where they lay it out without overlap
) -> tuple[Mesh, dict[str, float | str]]:
    """The mesh in its own coordinates with the colours as a texture, and a report of what was done.

    The report has "uv" (kept, or unwrapped and why) and "covered", the part of the texture that shows the surface.

    Raises:
        ImportError: new texture coordinates are needed and xatlas is missing.
    """
    config = config or UVConfig()
    mesh = Mesh(scene.vertices.cpu().numpy(), scene.faces.cpu().numpy(), uvs=uvs)
    report: dict[str, float | str] = {"uv": "kept"}
    reason = "there were none" if uvs is None else why_not_kept(mesh)
    own = own_coordinates(scene)
    if reason:
        report["uv"] = f"unwrapped: {reason}"
        numbered = Mesh(mesh.vertices, mesh.faces, np.repeat(np.arange(len(own))[:, None], 3, 1))
        mesh = unwrap(numbered, config)
        own = own[mesh.colors[:, 0]]  # the numbers say which vertex each copy on a seam is
        mesh = Mesh(mesh.vertices, mesh.faces, uvs=mesh.uvs)
    texels = texel_fragments(mesh, config.size, config.size)
    shown = texels.face[0] >= 0
    points = interpolate(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces), texels)[0][shown]
    device = scene.vertices.device
    colors = torch.cat([scene.albedo(p.to(device)).float().cpu() for p in points.split(262144)])
    texture = torch.zeros(config.size, config.size, 3)
    texture[shown] = colors
    report["covered"] = float(shown.float().mean())
    return Mesh(own, mesh.faces, uvs=mesh.uvs, texture=dilate(texture, shown).numpy()), report


def why_not_kept(mesh: Mesh) -> str:
    """Why the texture coordinates of a mesh cannot hold a texture of its own; "" where they can."""
    if not np.isfinite(mesh.uvs).all():
        return "some of the mesh's texture coordinates are not numbers"
    if mesh.uvs.min() < -1e-4 or mesh.uvs.max() > 1 + 1e-4:
        return "the mesh's texture coordinates leave the texture (they repeat it)"
    overlap = uv_overlap(mesh, 512)
    if overlap > MAX_OVERLAP:
        return f"{overlap:.0%} of the mesh's texture shows several places at once"
    return ""


@torch.no_grad()
def colors_at(mesh: Mesh, points_uv: Tensor) -> Tensor:
    """Colours [N, 3] of a mesh's texture at texture coordinates [N, 2], bilinear."""
    texture = torch.from_numpy(mesh.texture).permute(2, 0, 1)[None]
    grid = (points_uv * 2 - 1)[None, :, None]
    return torch.nn.functional.grid_sample(texture, grid, align_corners=False, padding_mode="border")[0, :, :, 0].T
