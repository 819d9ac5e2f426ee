"""A scene as a splat file."""

from __future__ import annotations

from pathlib import Path

from ...tbsd_core.scenes import GaussianScene, Scene
from ...tbsd_core.scenes.splat_ply import write_splats


def save(scene: Scene, path: Path) -> None:
    """Write the .ply of a Gaussian scene. Raises ValueError for any other scene."""
    if not isinstance(scene, GaussianScene):
        raise ValueError(
            f"Save Splats needs a Gaussian Scene, got {type(scene).__name__}. Use Save Mesh or Save Scene."
        )
    write_splats(scene.splats(), path)
