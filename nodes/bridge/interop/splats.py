"""Gaussian scenes as ComfyUI's SPLAT and as splat files, and scenes that start from these.

SPLAT is in the frame of splat files, +y down, activated: linear scales, quaternions (w, x, y, z), opacities in [0, 1],
colours as spherical harmonics [B, N, K, 3] of which the first is the mean colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ....tbsd_core.color import colors_to_sh, sh_to_colors
from ....tbsd_core.placement import SplatPlacementConfig
from ....tbsd_core.renderer.splatting import Splats
from ....tbsd_core.scenes import GaussianConfig, GaussianScene, Scene
from ....tbsd_core.scenes.splat_ply import write_splats
from ....tbsd_core.scenes.splat_read import ReadSplats, checked, of_degree, read_splats
from ....tbsd_core.scenes.splat_start import file_splats, scene_of_splats
from ..autograd import optimization_mode
from ..compat import splat_class
from ..files import existing_output
from .files import MAX_BYTES, bytes_of

MANY = 20_000  # Gaussians, above which a CPU takes long for a step


def save(scene: Scene, path: Path) -> Any:
    """Write the .ply of a Gaussian scene, and give its SPLAT. Raises ValueError for any other scene."""
    if not isinstance(scene, GaussianScene):
        raise ValueError(
            f"Save Splats needs a Gaussian Scene, got {type(scene).__name__}. Use Save Mesh or Save Scene."
        )
    splats = file_splats(scene)
    write_splats(splats, path)
    return to_splat(splats)


def to_splat(splats: Splats) -> Any:
    """SPLAT of splats in the frame of files: one object, colours of degree 0."""

    def alone(x: torch.Tensor) -> torch.Tensor:
        return x.detach().float().cpu()[None].contiguous()

    return splat_class()(
        alone(splats.means),
        alone(splats.scales),
        alone(torch.nn.functional.normalize(splats.quats, dim=-1)),
        alone(splats.opacities[:, None]),
        alone(colors_to_sh(splats.colors)[:, None]),
    )


def from_splat(splat: Any) -> ReadSplats:
    """The first object of a SPLAT, in its own frame. Raises ValueError where nothing can be drawn."""
    counts = splat.counts
    n = int(splat.positions.shape[1] if counts is None else counts[0])

    def first(x: torch.Tensor) -> torch.Tensor:
        return x[0, :n].detach().to("cpu", torch.float32, copy=True)

    sh = first(splat.sh)
    report = [of_degree(sh.shape[1])] if sh.shape[1] > 1 else []
    if len(splat.positions) > 1:
        report.append(f"the first of {len(splat.positions)} objects")
    splats = Splats(
        first(splat.positions),
        first(splat.rotations),
        first(splat.scales),
        first(splat.opacities)[:, 0],
        sh_to_colors(sh[:, 0]),
    )
    return ReadSplats(checked(splats, "The SPLAT"), tuple(report))


def gaussian_scene(
    config: GaussianConfig, place: SplatPlacementConfig, splat: Any = None, file: Any = None, name: str = ""
) -> tuple[GaussianScene, list[str]]:
    """A scene of its own points, or of the splats of a SPLAT, of a FILE_3D or of a file in ComfyUI's folders, and notes
    about it.

    Raises:
        ValueError: several are given, or one that cannot be used.
        FileNotFoundError: there is no such file.
    """
    sources = {"splat": splat is not None, "file_3d": file is not None, "splat_file": bool(name.strip())}
    given = [source for source, is_given in sources.items() if is_given]
    if len(given) > 1:
        raise ValueError(f"Gaussian Scene starts from one object, got {' and '.join(given)}. Connect only one of them.")
    with optimization_mode():
        if not given:
            return GaussianScene(config), []
        if splat is not None:
            read = from_splat(splat)
        elif file is not None:
            read = read_splats(*bytes_of(file))
        else:
            path = existing_output(name)
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"{path.name} has more than {MAX_BYTES >> 20} MB, the most that is read.")
            read = read_splats(path.read_bytes(), path.name)
        scene, left = scene_of_splats(read.splats, config, place)
        n = scene.config.n_gaussians
        slow = [f"more than {MANY:,} are slow without gsplat on a CUDA GPU"] if n > MANY else []
        return scene, [f"{n:,} Gaussians", *read.report, *left, *slow]
