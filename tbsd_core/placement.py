"""The placement of imported objects in the scene, whose front faces +z and whose up is +y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .settings import check_settings, setting

UPRIGHT = {  # rotations that bring an upward axis to +y
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-y": np.diag([1.0, -1, -1]),
}
LOOK = "until its front faces the camera. Check the first picture of Render Views."


@dataclass(frozen=True, kw_only=True)
class PlacementConfig:
    """The placement of a mesh."""

    # of the sphere around it, world units: 0.9 just fills the pictures of the default cameras, as models expect of a
    # photographed object; the scene is the unit ball. None: it stands and is sized as it should be
    radius: float | None = setting(0.9, above=0, at_most=1)
    up: str = setting(
        "y", "The mesh's own upward axis: y for GLB files, often z for STL and scans.", choices=("y", "z")
    )
    turn: float = setting(
        0.0,
        f"Degrees to turn the mesh, counter-clockwise as seen from above, {LOOK}",
        low=-360.0,
        high=360.0,
        step=15.0,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if not np.isfinite(self.turn):
            raise ValueError(f"turn must be a number of degrees, got {self.turn}.")


@dataclass(frozen=True, kw_only=True)
class SplatPlacementConfig:
    """The placement of splats."""

    radius: float | None = setting(0.9, above=0, at_most=1)  # as of a mesh
    up: str = setting(
        "-y",
        "The upward axis of the splats to start from: -y for ComfyUI's SPLAT and for splat files, y for files that "
        "Save Splats wrote in version 0.1.",
        choices=("-y", "y", "z"),
        optional=True,
    )
    turn: float = setting(
        0.0,
        f"Degrees to turn the splats, counter-clockwise as seen from above, {LOOK}",
        low=-360.0,
        high=360.0,
        step=15.0,
        optional=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if not np.isfinite(self.turn):
            raise ValueError(f"turn must be a number of degrees, got {self.turn}.")


def placement(points: np.ndarray, config: PlacementConfig | SplatPlacementConfig) -> np.ndarray:
    """The matrix [4, 4] from own coordinates to the scene: centred on the box around it, upright, turned, scaled.

    Raises:
        ValueError: the points [N, 3] do not span any extent.
    """
    a = np.radians(config.turn)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turned = about_y @ UPRIGHT[config.up]
    stood = points.astype(np.float64) @ turned.T
    centre = (stood.min(0) + stood.max(0)) / 2
    reach = np.linalg.norm(stood - centre, axis=-1).max()
    if not reach > 0:
        raise ValueError("There is nothing to place: all points are in one place.")
    matrix = np.eye(4)
    if config.radius is None:
        matrix[:3, :3] = turned
        return matrix
    scale = config.radius / reach
    matrix[:3, :3], matrix[:3, 3] = turned * scale, -centre * scale
    return matrix
