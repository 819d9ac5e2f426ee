"""A scene as a splat file, and that file as a type of the host where it has one."""

from __future__ import annotations

from pathlib import Path

import comfy_api.latest as host
from comfy_api.latest import io

from ...tbsd_core.scenes import GaussianScene, Scene
from ...tbsd_core.scenes.splat_ply import write_splats


def save(scene: Scene, path: Path) -> None:
    """Write the .ply of a Gaussian scene. Raises ValueError for any other scene."""
    if not isinstance(scene, GaussianScene):
        raise ValueError(
            f"Save Splats needs a Gaussian Scene, got {type(scene).__name__}. Use Save Mesh or Save Scene."
        )
    write_splats(scene.splats(), path)


def host_has_files() -> bool:
    """Whether this ComfyUI hands 3D files from node to node (FILE_3D): 0.12 does, 0.3.64 does not."""
    return hasattr(io, "File3DAny") and hasattr(getattr(host, "Types", None), "File3D")


def file_outputs() -> list[io.Output]:
    """The socket of the file, after all others so that their numbers are the same everywhere; none without a type."""
    if not host_has_files():
        return []
    return [io.File3DAny.Output(display_name="file_3d", tooltip="The file itself, for nodes that take 3D files.")]


def file_values(path: Path) -> list:
    """What goes out of `file_outputs` for a file that has been written."""
    return [host.Types.File3D(str(path))] if host_has_files() else []
