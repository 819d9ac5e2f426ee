"""Meshes out of scenes: extraction, and one writer per file format in io.WRITERS."""

from __future__ import annotations

from .export import ExportConfig, textured_mesh
from .io import WRITERS, write_mesh
from .isosurface import MeshConfig, extract_mesh
from .mesh import Mesh

__all__ = ["WRITERS", "ExportConfig", "Mesh", "MeshConfig", "extract_mesh", "textured_mesh", "write_mesh"]
