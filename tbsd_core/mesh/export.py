"""A scene as a mesh that other programs open: cut, simplify, unwrap, bake."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..native import NativeFailure
from ..optional import require
from ..scenes.base import Scene, Scene3D
from ..scenes.mesh_texture import MeshTextureScene
from ..settings import check_settings, setting
from .bake import BakeConfig, bake, bake_vertices
from .isosurface import MeshConfig, extract_surface
from .mesh import Mesh, places
from .paint import painted_mesh
from .simplify import SIMPLIFIER, edge_defects, simplify
from .uv import XATLAS, UVConfig, unwrap_or_cut_up


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """From a scene to a textured mesh."""

    faces: int = setting(
        8000,  # unwrapping grows faster than their number
        "Maximum number of triangles; the mesh is simplified to it. 0 keeps all of them.",
        at_least=0,
        high=1_000_000,
        step=100,
        optional=True,
    )
    texture: int = setting(
        1024,
        "Texels along each side of the texture. 0 colours the vertices instead.",
        widget="texture_size",
        low=0,
        high=8192,
        step=64,
        optional=True,
    )
    surface: MeshConfig = field(default_factory=MeshConfig)
    bake: BakeConfig = field(default_factory=BakeConfig)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.texture != 0:
            UVConfig(size=self.texture)


def textured_mesh(
    scene: Scene,
    config: ExportConfig | None = None,
    on_progress: Callable[[str, float], None] = lambda stage, done: None,
) -> tuple[Mesh, dict[str, Any]]:
    """The scene's surface with a texture, and a report. A scene that paints a given mesh gives that mesh.

    If a package for a step is missing, the step is left out, and the report's warnings say so and how to get it:
    without fast-simplification the mesh keeps its triangles, without xatlas it has vertex colours.

    Args:
        on_progress: called with the name of a stage and the progress over all of them, in [0, 1]; may raise to stop.

    Returns:
        mesh; report with faces_cut, faces, vertices, threshold, open_edges, non_manifold_edges, texture (texels
        along a side, 0 for vertex colours), seconds by stage, and warnings, a list of sentences for the user.

    Raises:
        RuntimeError: an empty scene, or densities or colours that are not finite.
        ValueError: the scene has no surface (a picture, splats), or no triangle is left after decimation.
        ImportError: scikit-image or SciPy is missing.
    """
    config = config or ExportConfig()
    if isinstance(scene, MeshTextureScene):
        uv = UVConfig(size=config.texture or UVConfig.size)
        return painted_mesh(scene, uv, on_progress, at_vertices=config.texture == 0)
    if not isinstance(scene, Scene3D):
        raise ValueError(f"Only a 3D scene with a volume or a mesh has a surface, got {type(scene).__name__}.")
    seconds: dict[str, float] = {}
    last = time.perf_counter()

    def done(stage: str, part: float) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[stage], last = now - last, now
        on_progress(stage, part)

    def baking(part: float) -> None:
        on_progress("bake", 0.5 + 0.5 * part)

    mesh, threshold, message = extract_surface(scene, config.surface, lambda part: on_progress("surface", 0.2 * part))
    warnings = [message] if message else []
    faces_cut = len(mesh.faces)
    done("surface", 0.2)
    if config.faces:
        reason = missing(SIMPLIFIER, "fast-simplification")
        if reason and faces_cut > config.faces:
            warnings.append(f"The mesh keeps its {faces_cut:,} triangles: {reason}")
        else:
            mesh = simplify(mesh, config.faces, lambda part: on_progress("simplify", 0.2 + 0.1 * part))
    done("simplify", 0.3)
    reason = missing(XATLAS) if config.texture else ""
    size = 0 if reason else config.texture
    if reason:
        warnings.append(f"The mesh has vertex colours instead of a texture: {reason}")
    if size:
        mesh, unwrapped, more = _unwrapped(mesh, UVConfig(size=size), lambda p: on_progress("unwrap", 0.3 + 0.2 * p))
        size, warnings = size if unwrapped else 0, warnings + more
        done("unwrap", 0.5)
    if size:
        mesh = replace(mesh, texture=bake(scene, mesh, size, config.bake, baking))
    else:
        mesh = replace(mesh, colors=bake_vertices(scene, mesh, config.bake, baking))
    mesh = replace(mesh, unlit=True)  # renders include the scene's light
    done("bake", 1.0)
    open_edges, non_manifold = edge_defects(joined(mesh))
    if non_manifold:
        warnings.append(f"{non_manifold:,} edges join more than two triangles; some programs object to that.")
    report = {
        "faces_cut": faces_cut,
        "faces": len(mesh.faces),
        "vertices": len(mesh.vertices),
        "threshold": threshold,
        "open_edges": open_edges,
        "non_manifold_edges": non_manifold,
        "texture": size,
        "seconds": seconds,
        "warnings": warnings,
    }
    return mesh, report


def _unwrapped(mesh: Mesh, config: UVConfig, on_wait: Callable[[float], None]) -> tuple[Mesh, bool, list[str]]:
    """The mesh with uvs, whether it has them, and warnings about what was lost."""
    try:
        flat, _, warning = unwrap_or_cut_up(mesh, config, on_wait)
        return flat, True, [warning] if warning else []
    except NativeFailure as failure:
        if len(mesh.faces) <= ExportConfig.faces:
            return mesh, False, [f"The mesh has vertex colours instead of a texture: {failure}"]
        fewer = simplify(mesh, ExportConfig.faces, lambda done: on_wait(1.0))
        why = f"The mesh was simplified to {len(fewer.faces):,} triangles, because with {len(mesh.faces):,} {failure}"
        flat, unwrapped, warnings = _unwrapped(fewer, config, lambda done: on_wait(1.0))
        return flat, unwrapped, [why, *warnings]


def joined(mesh: Mesh) -> np.ndarray:
    """Faces [M, 3] with the copies of a vertex on a seam counted as one."""
    return places(mesh.vertices)[mesh.faces]


def missing(module: str, pip_name: str | None = None) -> str:
    """Why an optional package cannot be used and how to get it; "" if it can."""
    try:
        require(module, pip_name)
    except ImportError as error:
        return str(error)
    return ""
