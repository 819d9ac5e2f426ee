"""The attachments of a painted mesh beside its colours, in a run: kept on the CPU, never changed or moved."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

MAX_NUMBERS = 3 * 16384**2


@dataclass(frozen=True, kw_only=True)
class SurfaceConfig:
    """The names and sizes of the tensors, which the scene's file holds, and the rest as it is."""

    names: tuple[str, ...] = ()
    sizes: tuple[tuple[int, ...], ...] = ()
    unlit: bool = False  # viewers add no light to it
    has_occlusion: bool = False
    factors: str = "{}"  # of its material, as JSON
    material_names: tuple[str, ...] = ()  # of its materials, where it had several

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.sizes):
            raise ValueError(f"names must be as many different ones as sizes, got {self.names} and {self.sizes}.")
        for size in self.sizes:
            if not all(n > 0 for n in size) or math.prod(size) > MAX_NUMBERS:
                raise ValueError(f"sizes must be > 0 and of at most {MAX_NUMBERS} numbers, got {size}.")
        self.material()

    def material(self) -> dict[str, Any]:
        """The factors. Raises ValueError for invalid text."""
        try:
            found = json.loads(self.factors)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"factors must be a JSON object ({error}).") from error
        if not isinstance(found, dict):
            raise ValueError(f"factors must be a JSON object, got {self.factors[:60]!r}.")
        return found

    def check(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise ValueError unless these are the tensors that it names."""
        expected = dict(zip(self.names, self.sizes, strict=True))
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        if expected != found:
            raise ValueError(f"The surface should have {expected} by its configuration, got {found}.")


def surface_config(mesh: Any) -> SurfaceConfig:
    """The attachments of a mesh (mesh.Mesh) beside its colours. Raises ValueError for a material that is not plain
    data."""
    arrays = mesh.surface.arrays
    try:
        factors = json.dumps(dict(mesh.surface.factors))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"The mesh's material is not plain data: {error}. Set it again.") from error
    return SurfaceConfig(
        names=tuple(arrays),
        sizes=tuple(array.shape for array in arrays.values()),
        unlit=mesh.unlit,
        has_occlusion=mesh.surface.has_occlusion,
        factors=factors,
        material_names=mesh.surface.material_names,
    )
