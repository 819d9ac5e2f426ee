"""The attachments of a mesh beside its shape and its base colour, by glTF's names. Painting leaves them as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

MAPS = ("metallic_roughness", "normal_map", "emissive")
AT_VERTICES = {"normals": 3, "tangents": 4}
AT_FACES = "materials"
MAX_MAP = 16384  # texels along each side


@dataclass(frozen=True)
class Surface:
    """Maps lie in the mesh's texture coordinates; row 0 is at the top.

    Args:
        normals: [N, 3] unit vectors at the vertices. tangents: [N, 4], the last is the handedness.
        metallic_roughness: [H, W, 3] in [0, 1]: green is roughness, blue metallic, red occlusion where has_occlusion.
        normal_map: [H, W, 3] in [0, 1], tangent space, +y up. emissive: [H, W, 3], sRGB.
        materials: [M] int32, the material that each face had in its file, a number of material_names; None for one.
        factors: of the material, by ComfyUI's names (base_color_factor, roughness_factor ...); plain data.
    """

    normals: np.ndarray | None = None
    tangents: np.ndarray | None = None
    metallic_roughness: np.ndarray | None = None
    normal_map: np.ndarray | None = None
    emissive: np.ndarray | None = None
    has_occlusion: bool = False
    factors: Mapping[str, Any] = field(default_factory=dict)
    materials: np.ndarray | None = None
    material_names: tuple[str, ...] = ()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that it has, by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name in (*AT_VERTICES, *MAPS, AT_FACES)}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def has_maps(self) -> bool:
        return any(name in MAPS for name in self.arrays)

    @property
    def is_lit(self) -> bool:
        """Whether it says how light falls on it."""
        return self.has_maps or not self.factors.keys() <= {"base_color_factor"}

    def check(self, n_vertices: int, n_faces: int) -> None:
        """Raise ValueError for arrays of invalid shapes."""
        for name, array in self.arrays.items():
            if name == AT_FACES and array.shape != (n_faces,):
                raise ValueError(f"Mesh: {name} must be [{n_faces}], got {list(array.shape)}.")
            if name in AT_VERTICES and array.shape != (n_vertices, AT_VERTICES[name]):
                raise ValueError(f"Mesh: {name} must be [{n_vertices}, {AT_VERTICES[name]}], got {list(array.shape)}.")
            if name in MAPS and (array.ndim != 3 or array.shape[2] != 3 or not 0 < max(array.shape) <= MAX_MAP):
                raise ValueError(f"Mesh: {name} must be [H, W, 3] of at most {MAX_MAP}, got {list(array.shape)}.")

    def without_maps(self) -> Surface:
        return replace(self, **dict.fromkeys(MAPS), tangents=None, has_occlusion=False)

    def painted(self) -> Surface:
        """Without the factor of the base colour, which would tint the painted colours."""
        return replace(self, factors={k: v for k, v in self.factors.items() if k != "base_color_factor"})
