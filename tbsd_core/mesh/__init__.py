"""Meshes out of scenes: extraction, and one writer per file format in io.WRITERS."""

from __future__ import annotations

from ..placement import PlacementConfig
from .export import ExportConfig, textured_mesh
from .io import WRITERS, write_mesh
from .isosurface import MeshConfig
from .mesh import Mesh
from .paint import painted_mesh, texture_scene

__all__ = [
    "WRITERS",
    "ExportConfig",
    "Mesh",
    "MeshConfig",
    "PlacementConfig",
    "painted_mesh",
    "texture_scene",
    "textured_mesh",
    "write_mesh",
]
