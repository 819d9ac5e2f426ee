"""From a mesh to a scene that paints it, and from the painted scene back to the mesh."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..native import NativeFailure, run_native
from ..placement import PlacementConfig, placement
from ..rng import named_generator
from ..scenes.kept import with_original
from ..scenes.mesh_texture import GREY, MeshTextureConfig, MeshTextureScene
from ..scenes.surface import surface_config
from .bake import paint_texels
from .check import check_mesh
from .mesh import Mesh, places
from .mixed import mixed_texture
from .normals import corner_normals
from .relay import relaid
from .surface import Surface
from .texture import sample_texture, wrapped
from .uv import UVConfig, unwrap_or_cut_up, uv_overlap

MAX_OVERLAP = 0.01  # of the texture; texture coordinates with more are not used
MAX_CROWDED, CROWDED = 0.02, 0.01  # of the surface; texels per area, of the median: such parts would get a colour each
MANY_FACES = 20_000  # above these the child process does the work, so that the host stays responsive


def texture_scene(
    mesh: Mesh,
    config: MeshTextureConfig | None = None,  # the mesh's sizes replace its own
    place: PlacementConfig | None = None,
    on_wait: Callable[[float], None] = lambda done: None,
) -> MeshTextureScene:
    """A scene that paints this mesh.

    Args:
        on_wait: called while a large mesh is processed, with the progress in [0, 1]; may raise to stop.

    Raises:
        ValueError: the mesh has no faces or no area, is damaged, or is too large.
    """
    check_mesh(mesh)
    is_used = np.zeros(len(mesh.vertices), dtype=bool)
    is_used[mesh.faces] = True
    matrix = placement(mesh.vertices[is_used], place or PlacementConfig())
    vertices = mesh.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    normals = _corner_normals(mesh, vertices, matrix, on_wait)
    n_uvs = 0 if mesh.uvs is None else len(mesh.uvs)
    sizes = {"n_vertices": len(mesh.vertices), "n_faces": len(mesh.faces), "n_uvs": n_uvs}
    scene = MeshTextureScene(replace(config or MeshTextureConfig(), **sizes, surface=surface_config(mesh)))
    scene.attach({name: torch.from_numpy(array) for name, array in mesh.surface.arrays.items()})
    scene.set_geometry(
        torch.from_numpy(vertices).float(),
        torch.from_numpy(mesh.faces.astype(np.int64)),
        torch.from_numpy(normals),
        torch.from_numpy(matrix).float(),
        torch.zeros(0, 2) if mesh.uvs is None else torch.from_numpy(mesh.uvs).float(),
    )
    return scene


def _corner_normals(
    mesh: Mesh, vertices: np.ndarray, matrix: np.ndarray, on_wait: Callable[[float], None]
) -> np.ndarray:
    """Unit normals [M, 3, 3] of the placed mesh: its own, as viewers take them, or new ones, which continue over the
    seams of a texture and over the corners that a file writes once for each face."""
    own = mesh.surface.normals
    if own is not None:
        turned = own.astype(np.float64) @ np.linalg.inv(matrix[:3, :3])
        length = np.linalg.norm(turned, axis=-1, keepdims=True)
        if np.isfinite(length).all() and (length > 1e-20).all():
            return (turned / length)[mesh.faces].astype(np.float32)
    welded = places(mesh.vertices)[mesh.faces]
    if len(mesh.faces) > MANY_FACES:
        return run_native("corner_normals", {"vertices": vertices, "faces": welded}, on_wait=on_wait)["normals"]
    return corner_normals(vertices, welded)


def surface_of(scene: MeshTextureScene) -> Surface:
    """The surface that the mesh came with."""
    config = scene.config.surface
    arrays = {name: scene.attached[name].numpy() for name in config.names}
    about = {"has_occlusion": config.has_occlusion, "material_names": config.material_names}
    return Surface(**arrays, **about, factors=config.material())


def start_from_colors(scene: MeshTextureScene, mesh: Mesh, n_steps: int = 80, n_points: int = 8192) -> float:
    """Fit the scene's colours to those that the mesh has (its texture, else its vertex colours). A scene that begins in
    grey only remembers its texture, for a region that keeps some of it.

    Returns:
        RMS error of the last step, in colours of [0, 1]; 0 for a scene that begins in grey.

    Raises:
        ValueError: the mesh has no colours, or some that are not finite numbers.
    """
    sources = {"texture coordinates": mesh.uvs, "texture's colours": mesh.texture}
    for name, values in ({"vertex colours": mesh.colors} if mesh.texture is None else sources).items():
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"Some of the mesh's {name} are not finite numbers. Start from grey, or repair the mesh.")
    if scene.config.begin == GREY:
        if mesh.texture is not None:
            remember_texture(scene, mesh.texture)
        return 0.0
    device = scene.vertices.device
    corner = scene.vertices[scene.faces].cpu()
    area = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).norm(dim=-1)
    shares = area.double().cumsum(0)
    optimizer = torch.optim.Adam(scene.parameter_groups(0.1), betas=(0.9, 0.99))
    error = 0.0
    for step in range(n_steps):
        draws = torch.rand(n_points, 3, generator=named_generator(scene.config.seed, "start colours", step))
        face = torch.searchsorted(shares, draws[:, 0].double() * shares[-1]).clamp(max=len(area) - 1)
        u = draws[:, 1:2].sqrt()  # uniform over the triangle
        weights = torch.cat([1 - u, u * (1 - draws[:, 2:]), u * draws[:, 2:]], -1)
        points = (corner[face] * weights[..., None]).sum(1)
        wanted = torch.from_numpy(_colors_of(mesh, face.numpy(), weights.numpy())).float()
        with torch.enable_grad():
            loss = (scene.albedo(points.to(device)) - wanted.to(device)).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        optimizer.step()
        error = float(loss.detach().sqrt())
    if mesh.texture is not None:
        remember_texture(scene, mesh.texture)
    return error


def remember_texture(scene: MeshTextureScene, texture: np.ndarray) -> None:
    """Attach the texture [H, W, 3] that a mesh had: a region that is kept has the detail that the field lacks."""
    colors = torch.from_numpy(np.round(np.clip(texture, 0, 1) * 255).astype(np.uint8))
    scene.attach({**scene.attached, **with_original(scene, colors)})


def _colors_of(mesh: Mesh, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Colours [K, 3] of a mesh at places [K, 3] of faces [K]."""
    values = mesh.colors if mesh.texture is None else mesh.uvs
    if values is None:
        raise ValueError("The mesh has neither a texture nor vertex colours to start from.")
    mean = (values[mesh.faces[face]] * weights[..., None]).sum(1)
    return mean if mesh.texture is None else sample_texture(mesh.texture, wrapped(mean))


def own_coordinates(scene: MeshTextureScene) -> np.ndarray:
    """Vertices [N, 3] where the mesh had them before it was placed."""
    place = scene.place.double().cpu().numpy()
    return ((scene.vertices.double().cpu().numpy() - place[:3, 3]) @ np.linalg.inv(place[:3, :3]).T).astype(np.float32)


@torch.no_grad()
def painted_mesh(
    scene: MeshTextureScene,
    config: UVConfig | None = None,
    on_progress: Callable[[str, float], None] = lambda stage, done: None,
    at_vertices: bool = False,
) -> tuple[Mesh, dict[str, Any]]:
    """The mesh in its own coordinates with its colours as a texture, and a report. Everything else stays as given.

    Texture coordinates of its own are kept where they lay the surface out without overlap. Where xatlas is needed and
    missing, the vertices are coloured instead, and the report's warnings say so.

    Args:
        at_vertices: colour the vertices, and make no texture.
        on_progress: called with the name of a stage and the progress over all of them, in [0, 1]; may raise to stop.

    Returns:
        mesh; report with faces, vertices, texture (texels along a side, 0 for vertex colours), uv ("kept", or
        "unwrapped" and why), covered (the part of the texture that shows the surface), seconds by stage, warnings.
    """
    config = config or UVConfig()
    start = time.perf_counter()
    warnings: list[str] = []
    uvs = scene.uvs.cpu().numpy() if len(scene.uvs) else None
    mesh, own = Mesh(scene.vertices.cpu().numpy(), scene.faces.cpu().numpy(), uvs=uvs), own_coordinates(scene)
    report: dict[str, Any] = {"uv": "kept", "texture": 0 if at_vertices else config.size}
    if scene.kept is not None:  # the locked part stays as it is, so only its own texture will do
        return _partly_painted(scene, Mesh(own, mesh.faces, uvs=uvs), report, on_progress)
    surface = surface_of(scene).painted()
    try:
        reason = "" if at_vertices else why_not_kept(mesh, lambda done: on_progress("unwrap", 0.05 * done))
        if reason:
            report["uv"] = f"unwrapped: {reason}"
            mesh, source, warning = unwrap_or_cut_up(
                mesh, config, lambda done: on_progress("unwrap", 0.05 + 0.45 * done)
            )
            own, warnings = own[source], [warning] if warning else []
            surface, left = relaid(surface, uvs, mesh, source)
            warnings += left
    except (ImportError, NativeFailure) as error:
        warnings.append(f"The mesh has vertex colours instead of a texture: {error}")
        report |= {"uv": "none", "texture": 0}
    # colours that were painted in light are there to be lit, and so is a surface that says how light falls on it
    unlit = scene.config.shading == "none" and (scene.config.surface.unlit or not surface.is_lit)
    unwrapped = time.perf_counter()
    on_progress("unwrap", 0.5)
    vertices = torch.from_numpy(mesh.vertices)
    if report["texture"] == 0:
        painted = Mesh(own, mesh.faces, _colors(scene, vertices).numpy(), mesh.uvs, None, unlit, surface)
    else:
        size = (config.size, config.size)
        texture, report["covered"] = paint_texels(
            mesh, size, vertices, lambda p: _colors(scene, p), lambda d: on_progress("paint", 0.5 + 0.5 * d)
        )
        painted = Mesh(own, mesh.faces, None, mesh.uvs, texture, unlit, surface)
    on_progress("paint", 1.0)
    seconds = {"unwrap": unwrapped - start, "paint": time.perf_counter() - unwrapped}
    n_faces = len(painted.faces)
    sizes = {"faces_cut": n_faces, "faces": n_faces, "vertices": len(painted.vertices)}
    return painted, {**report, **sizes, "seconds": seconds, "warnings": warnings}


def _partly_painted(
    scene: MeshTextureScene, mesh: Mesh, report: dict[str, Any], on_progress: Callable[[str, float], None]
) -> tuple[Mesh, dict[str, Any]]:
    """`painted_mesh` of a scene of which a part is locked: its own texture coordinates, and a texture of its size."""
    start = time.perf_counter()
    texture, covered = mixed_texture(scene, lambda done: on_progress("paint", done))
    surface = surface_of(scene)  # with the factor of the base colour, which belongs to the locked part
    # a locked part keeps its colours, and with them the light that they have or lack
    unlit = scene.config.surface.unlit or (scene.config.shading == "none" and not surface.is_lit)
    n_faces, seconds = len(mesh.faces), {"unwrap": 0.0, "paint": time.perf_counter() - start}
    report |= {"texture": max(texture.shape[:2]), "covered": covered}
    report |= {"faces_cut": n_faces, "faces": n_faces, "vertices": len(mesh.vertices), "seconds": seconds}
    return replace(mesh, texture=texture, unlit=unlit, surface=surface), {**report, "warnings": []}


def _colors(scene: MeshTextureScene, points: Tensor) -> Tensor:
    """Colours [N, 3] on the CPU at points [N, 3] of the scene."""
    device = scene.vertices.device
    return torch.cat([scene.albedo(p.to(device)).float().cpu() for p in points.split(262144)])


def why_not_kept(mesh: Mesh, on_wait: Callable[[float], None] = lambda done: None) -> str:
    """Why the texture coordinates of a mesh cannot hold a texture of its own; "" if they can."""
    if mesh.uvs is None:
        return "the mesh has no texture coordinates"
    if not np.isfinite(mesh.uvs).all():
        return "some of the mesh's texture coordinates are not numbers"
    if mesh.uvs.min() < -1e-4 or mesh.uvs.max() > 1 + 1e-4:
        return "the mesh's texture coordinates leave the texture (they repeat it)"
    if (part := crowded(mesh)) > MAX_CROWDED:
        return f"{part:.0%} of the mesh's surface has no room in its texture, as where faces share one texel"
    overlap = uv_overlap(mesh, 512, on_wait)
    if overlap > MAX_OVERLAP:
        return f"{overlap:.0%} of the mesh's texture shows several places at once"
    return ""


def crowded(mesh: Mesh) -> float:
    """The part of the surface with less than a hundredth of the texels that its area has elsewhere; 1 where there are
    none at all."""
    assert mesh.uvs is not None
    corner, flat = mesh.vertices[mesh.faces].astype(np.float64), mesh.uvs[mesh.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=-1)
    (u, v), (s, t) = (flat[:, 1] - flat[:, 0]).T, (flat[:, 2] - flat[:, 0]).T
    density = np.abs(u * t - v * s) / np.maximum(area, 1e-30)
    order = np.argsort(density)
    shares = np.cumsum(area[order])
    median = density[order][min(np.searchsorted(shares, shares[-1] / 2), len(order) - 1)]
    sparse = area[density <= CROWDED * median].sum() / area.sum()
    return float(sparse) if median > 0 else 1.0
