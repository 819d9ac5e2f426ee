"""ComfyUI's LOAD3D_CAMERA, the camera of its 3D viewers: right-handed, +y up, looking along its own -z, like ours.

Our cameras look at the object's centre and stand upright. So a viewer's target counts as that centre, which gives the
camera's direction, distance and lens. A rolled or an orthographic camera has no counterpart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ....tbsd_core.cameras.pose import Cameras, look_at_origin
from ....tbsd_core.cameras.sampling import CameraConfig

MAX_ROLL = 1.0  # degrees
POLE = 89.0  # degrees of elevation, from which on a camera has no upright


@dataclass(frozen=True)
class Camera:
    """One camera; units and angles as of cameras.pose."""

    azimuth: float
    elevation: float
    distance: float
    fov_y: float

    def batch(self) -> Cameras:
        fields = (self.azimuth, self.elevation, self.distance, self.fov_y)
        return Cameras(*(torch.tensor([x], dtype=torch.float32) for x in fields))


def from_info(info: Any, fov_y: float) -> Camera:
    """The camera of a LOAD3D_CAMERA.

    Args:
        fov_y: where the viewer says none.

    Raises:
        ValueError: it is damaged, orthographic, rolled, or stands at its target.
    """
    try:
        position, target = (_vector(info.get(key) or {}) for key in ("position", "target"))
        zoom, fov = float(info.get("zoom") or 1), float(info.get("fov") or fov_y)
        kind, turn = str(info.get("cameraType") or "perspective"), info.get("quaternion")
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"camera_info is damaged: {error}. Connect a 3D viewer or Create Camera Info.") from error
    if kind.lower().startswith("ortho"):
        raise ValueError(
            "camera_info is orthographic, but scenes need a perspective camera. Switch the viewer's camera."
        )
    away = position - target
    distance = float(np.linalg.norm(away))
    if not (np.isfinite(distance) and distance > 0 and zoom > 0 and 0 < fov < 180):
        raise ValueError(f"camera_info needs a distance, a zoom and an angle, got {distance}, {zoom} and {fov}.")
    azimuth = math.degrees(math.atan2(away[0], away[2]))
    elevation = math.degrees(math.asin(np.clip(away[1] / distance, -1, 1)))
    if turn and abs(elevation) >= POLE:  # the position says nothing there
        x, y, z, w = _numbers(turn)
        azimuth = math.degrees(math.atan2(2 * (y * w - x * z), w * w + x * x - y * y - z * z))
    lens = math.degrees(2 * math.atan(math.tan(math.radians(fov) / 2) / zoom))
    camera = Camera(azimuth, elevation, distance, lens)
    if turn and abs(elevation) < POLE and (roll := _roll(turn, camera)) > MAX_ROLL:
        raise ValueError(f"camera_info is rolled by {roll:.0f} degrees; cameras here stand upright. Set its roll to 0.")
    return camera


def to_info(camera: Camera) -> dict[str, Any]:
    """LOAD3D_CAMERA of a camera; its target is the object's centre."""
    batch = camera.batch()
    c2w = look_at_origin(batch.azimuth, batch.elevation, batch.distance)[0].double().numpy()
    x, y, z, w = _quaternion(c2w[:3, :3])
    origin = {"x": 0.0, "y": 0.0, "z": 0.0}
    return {
        "position": dict(zip("xyz", map(float, c2w[:3, 3]), strict=True)),
        "target": origin,
        "quaternion": {"x": x, "y": y, "z": z, "w": w},
        "fov": camera.fov_y,
        "zoom": 1.0,
        "cameraType": "perspective",
    }


def around(config: CameraConfig, camera: Camera) -> CameraConfig:
    """Training cameras in the middle of which a camera stands: its distance and lens, and the ranges moved to it."""
    half = (config.azimuth_max - config.azimuth_min) / 2
    rise = min((config.elevation_max - config.elevation_min) / 2, 90 - abs(camera.elevation))
    return replace(
        config,
        azimuth_min=camera.azimuth - half,
        azimuth_max=camera.azimuth + half,
        elevation_min=camera.elevation - rise,
        elevation_max=camera.elevation + rise,
        distance=camera.distance,
        distance_max=None,
        fov_y=camera.fov_y,
        fov_y_max=None,
    )


def middle(config: CameraConfig) -> Camera:
    """The camera in the middle of training cameras, as far away as the object is seen as a whole."""
    azimuth = (config.azimuth_min + config.azimuth_max) / 2
    return Camera(azimuth, (config.elevation_min + config.elevation_max) / 2, *config.farthest)


def _vector(numbers: Any) -> np.ndarray:
    return np.array([float(numbers.get(axis, 0)) for axis in "xyz"])


def _numbers(turn: Any) -> tuple[float, ...]:
    return tuple(float(turn.get(axis, 0)) for axis in "xyzw")


def _roll(turn: Any, camera: Camera) -> float:
    """Degrees between the upward axes of a viewer and of an upright camera."""
    x, y, z, w = _numbers(turn)
    n = x * x + y * y + z * z + w * w
    up = np.array([2 * (x * y - z * w), n - 2 * (x * x + z * z), 2 * (y * z + x * w)]) / max(n, 1e-12)
    batch = camera.batch()
    ours = look_at_origin(batch.azimuth, batch.elevation, batch.distance)[0, :3, 1].double().numpy()
    return math.degrees(math.acos(np.clip(up @ ours, -1, 1)))


def _quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a rotation matrix."""
    from ....tbsd_core.scenes.splat_frame import quaternion

    w, x, y, z = quaternion(rotation).tolist()
    return x, y, z, w
