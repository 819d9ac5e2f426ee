"""From a density field to a coloured triangle mesh."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..native import run_native
from ..scenes.base import Scene3D
from ..settings import check_settings, setting
from .mesh import Mesh

# Half-value layers, in parts of the bound. At OUTLINE a mesh has the outline of the renders, at an opacity of 1/2.
# A NeRF of a few hundred steps is not yet as dense as that: at SOLID its mesh has the true volume
OUTLINE, SOLID = 1 / 24, 1 / 12
MIN_VISIBLE = 0.05  # part of the light that an object through the whole scene must absorb to be seen in renders


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How finely and where a field is cut."""

    resolution: int = setting(
        96,
        "Grid points along each side. More gives more triangles, but no more detail than the scene has learned.",
        at_least=8,
        low=16,
        high=512,
        step=8,
    )
    threshold: float | None = setting(
        None,  # see find_threshold; 1 / world unit
        "Density at the surface. 0 chooses it automatically; lower is thicker, higher is thinner.",
        above=0,
        low=0.0,
        high=1000.0,
        step=0.1,
        none=0.0,
    )
    half_value_layer: float = setting(
        OUTLINE,
        meaning="part of the bound within which the automatic threshold absorbs half of the light; higher is thicker",
        above=0,
        at_most=1,
    )
    keep_fraction: float = setting(
        0.1,
        "Loose pieces smaller than this fraction of the largest piece are dropped; 0 keeps all.",
        at_least=0,
        at_most=1,
        step=0.01,
    )
    chunk: int = setting(262144, at_least=1)  # points per query

    def __post_init__(self) -> None:
        check_settings(self)


def surface_threshold(bound: float, half_value_layer: float) -> float:
    """The density that absorbs half of the light within this part of the bound, ln 2 / (bound half_value_layer).

    It depends on the scene's scale alone, so that the extent of the mesh follows the opacity that was trained, not the
    largest density found somewhere inside.
    """
    return math.log(2) / (half_value_layer * bound)


def auto_threshold(bound: float) -> float:
    """The density above which a field counts as solid."""
    return surface_threshold(bound, SOLID)


def find_threshold(
    volume: Tensor, bound: float, threshold: float | None = None, half_value_layer: float = OUTLINE
) -> tuple[float, str]:
    """The density at which to cut, and a message about it for the user, or "".

    If the largest density stays below the automatic threshold, half of that density is the threshold: the surface of a
    thin but visible object. A threshold that the user chose is taken as it is.

    Raises:
        RuntimeError: densities that are not finite, a scene that is empty, a chosen threshold above every density.
    """
    bad = int((~torch.isfinite(volume)).sum())
    if bad:
        raise RuntimeError(
            f"The density is NaN or infinite at {bad:,} of {volume.numel():,} grid points, so there is no surface. "
            "The optimisation has diverged: use an earlier scene, or run again with a lower learning rate."
        )
    top = float(volume.max())
    visible = MIN_VISIBLE / (2 * bound)
    if top <= visible:
        raise RuntimeError(
            f"Nothing to extract: the scene is empty, its density reaches {top:.3g} and shows from {visible:.3g} on. "
            "Train longer, or with less opacity regularisation."
        )
    if threshold is not None:
        if top <= threshold:
            raise RuntimeError(
                f"Nothing to extract: the density reaches {top:.3g} and the surface is at {threshold:.3g}. "
                f"Use a threshold below {top:.3g}, or let it be chosen."
            )
        return threshold, ""
    usual = surface_threshold(bound, half_value_layer)
    if top > usual:
        return usual, ""
    return top / 2, (
        f"The density reaches {top:.3g} and the usual surface lies at {usual:.3g}, so it was cut at {top / 2:.3g}: "
        "the object is thin. Train longer for a solid one."
    )


def scene_device(scene: Scene3D) -> torch.device:
    """The device of a scene's parameters; the CPU for a scene without any."""
    parameters = scene.parameters() if hasattr(scene, "parameters") else ()
    return next((p.device for p in parameters), torch.device("cpu"))


@torch.no_grad()
def density_volume(
    scene: Scene3D, resolution: int, chunk: int = 262144, on_progress: Callable[[float], None] = lambda done: None
) -> tuple[Tensor, float, float]:
    """Densities on a grid over the scene and one cell beyond it, where they are taken as 0.

    Returns:
        volume [resolution + 2] * 3 indexed x, y, z on the CPU; world coordinate of its first point; cell size.
    """
    cell = 2 * scene.bound / (resolution - 1)
    axis = torch.linspace(-scene.bound, scene.bound, resolution)
    device = scene_device(scene)
    volume = torch.zeros(resolution + 2, resolution + 2, resolution + 2)
    slab = max(1, chunk // resolution**2)
    for start in range(0, resolution, slab):
        points = torch.stack(torch.meshgrid(axis[start : start + slab], axis, axis, indexing="ij"), -1)
        values = scene.density(points.reshape(-1, 3).to(device)).float().cpu().view(points.shape[:3])
        volume[1 + start : 1 + start + len(values), 1:-1, 1:-1] = values
        on_progress((start + len(values)) / resolution)
    return volume, -scene.bound - cell, cell


@torch.no_grad()
def extract_surface(
    scene: Scene3D,
    config: MeshConfig | None = None,
    on_progress: Callable[[float], None] = lambda done: None,  # in [0, 1]; may raise to stop
) -> tuple[Mesh, float, str]:
    """Marching cubes on the scene's density: a mesh without colours, the threshold, and a message about it or "".

    Raises:
        RuntimeError: there is no surface, see find_threshold.
        NativeFailure: there is too little time or memory for so fine a grid.
    """
    config = config or MeshConfig()
    volume, origin, cell = density_volume(scene, config.resolution, config.chunk, lambda done: on_progress(done / 2))
    threshold, message = find_threshold(volume, scene.bound, config.threshold, config.half_value_layer)
    inputs = {"volume": volume.numpy(), "level": threshold, "keep_fraction": config.keep_fraction}
    cut = run_native("surface", inputs, on_wait=lambda done: on_progress(0.5 + done / 2))
    vertices = cut["vertices"] * cell + origin
    return Mesh(vertices.astype(np.float32), cut["faces"]), threshold, message


@torch.no_grad()
def query_colors(scene: Scene3D, points: Tensor, chunk: int = 262144) -> Tensor:
    """The scene's colours [N, 3] in [0, 1] at points [N, 3], on the CPU.

    Raises:
        RuntimeError: colours that are not finite.
    """
    device = scene_device(scene)
    parts = [scene.albedo(p.to(device)).float().cpu() for p in points.split(chunk)]
    colors = torch.cat(parts) if parts else torch.zeros(0, 3)
    bad = int((~torch.isfinite(colors)).any(-1).sum())
    if bad:
        raise RuntimeError(
            f"The colour is NaN or infinite at {bad:,} of {len(points):,} points of the surface. The optimisation "
            "has diverged: use an earlier scene, or run again with a lower learning rate."
        )
    return colors.clamp(0, 1)
