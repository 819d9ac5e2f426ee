"""Where the cameras of a training step stand, the turntable's orbit, and the word for a view."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from ..settings import check_settings, setting
from .pose import Cameras

VIEW_NAMES = ("front", "side", "back", "overhead")


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """Distribution of training cameras; angles in degrees, see `pose.py` for the convention."""

    azimuth_min: float = setting(
        -180.0, "Start of the turn around the object; -180 to 180 is all around.", low=-360, high=360, step=1.0
    )
    azimuth_max: float = setting(180.0, "End of the turn around the object.", low=-360, high=360, step=1.0)
    elevation_min: float = setting(
        0.0, "Lowest camera: 0 is level, negative looks up from below.", at_least=-90, at_most=90, step=1.0
    )
    elevation_max: float = setting(
        45.0, "Highest camera: 90 looks straight down.", at_least=-90, at_most=90, step=1.0
    )
    distance: float = setting(
        3.0,
        "Distance from the centre; the object has a radius of about 1.",
        above=0,
        low=0.5,
        high=20,
        step=0.1,
    )
    fov_y: float = setting(
        36.0,
        "Vertical field of view of the lens. A small angle flattens the picture.",
        above=0,
        below=180,
        low=5,
        high=120,
        step=1.0,
    )
    distance_max: float | None = setting(
        None,
        "Cameras stand anywhere between distance and this, so that the object is seen large and small. 0: all "
        "stand at distance.",
        meaning="the other end of the distances that cameras are drawn from; null: all at distance",
        above=0,
        none=0,
        low=0,
        high=20,
        step=0.1,
        optional=True,
    )
    fov_y_max: float | None = setting(
        None,
        "Fields of view are drawn between fov_y and this. 0: all have fov_y.",
        meaning="the other end of the opening angles that lenses are drawn from; null: all fov_y",
        above=0,
        below=180,
        none=0,
        low=0,
        high=120,
        step=1.0,
        optional=True,
    )
    front: float = setting(
        45.0,
        "Within this many degrees of the front a view counts as the front, and within as many of the back as the "
        "back. 30 for Stable Diffusion 1.5.",
        above=0,
        below=90,
        low=5,
        high=85,
        step=1.0,
        optional=True,
    )
    stratified: bool = setting(
        True, "Spread the views of a step evenly around the object. Helps against several faces."
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.azimuth_min <= self.azimuth_max <= self.azimuth_min + 360:
            raise ValueError(
                f"The azimuth range [{self.azimuth_min}, {self.azimuth_max}] must ascend and span at most 360 degrees."
            )
        if not self.elevation_min <= self.elevation_max:
            raise ValueError(f"The elevation range [{self.elevation_min}, {self.elevation_max}] must ascend.")

    @property
    def nearest(self) -> tuple[float, float]:
        """Distance and opening angle from which the object is seen the largest."""
        return min(self.distance, self.distance_max or self.distance), min(self.fov_y, self.fov_y_max or self.fov_y)

    @property
    def farthest(self) -> tuple[float, float]:
        """Distance and opening angle from which the object is seen as a whole, for pictures of the result."""
        return max(self.distance, self.distance_max or 0), max(self.fov_y, self.fov_y_max or 0)


CAMERA_PRESETS: dict[str, tuple[str, CameraConfig]] = {
    "around": ("all around, from level to 45 degrees above: most objects", CameraConfig()),
    "eye level": (
        "all around, nearly level: people and animals, whose pictures are rarely taken from above",
        CameraConfig(elevation_min=-5.0, elevation_max=20.0),
    ),
    "from above": (
        "all around and up to straight above: plates of food, buildings, maps",
        CameraConfig(elevation_min=15.0, elevation_max=85.0),
    ),
    "everywhere": (
        "from below to above: an object that will be turned in the hand",
        CameraConfig(elevation_min=-45.0, elevation_max=75.0),
    ),
    "front half": (
        "the front and both sides: a face or a relief, with no back to go wrong",
        CameraConfig(azimuth_min=-90.0, azimuth_max=90.0),
    ),
    "portrait lens": (
        "all around from far away with a narrow lens: no wide-angle noses",
        CameraConfig(distance=6.0, fov_y=18.0, elevation_max=30.0),
    ),
}


def camera_preset(name: str) -> CameraConfig:
    """Raises ValueError for a name that is not in CAMERA_PRESETS; lists them."""
    if name not in CAMERA_PRESETS:
        raise ValueError(f"Unknown camera preset {name!r}; choose one of {', '.join(CAMERA_PRESETS)}.")
    return CAMERA_PRESETS[name][1]


def with_camera_preset(config: CameraConfig, name: str) -> CameraConfig:
    """`config` with what a preset says of the viewpoints; lens, distance and the rest stay as a model needs them.

    Raises ValueError as `camera_preset`.
    """
    preset, usual = camera_preset(name), CameraConfig()
    values = {f.name: getattr(preset, f.name) for f in fields(CameraConfig)}
    return replace(config, **{key: value for key, value in values.items() if value != getattr(usual, key)})


def sample_cameras(config: CameraConfig, n: int, generator: torch.Generator, group: int = 1) -> Cameras:
    """Draw n cameras.

    Stratified, view i lies in the i-th of n equal parts of the azimuth range, shifted by one offset
    common to all views and jittered within half its part: every step sees the object from all around
    (fewer contradicting steps, less Janus), while each single azimuth stays uniform over the range.

    A prior that sees groups of views gets each group spread evenly around the object, with one elevation, distance and
    lens. Stratified groups interleave.
    """
    if n < 1 or n % group:
        raise ValueError(f"sample_cameras needs n >= 1, whole groups of {group}, got {n}.")

    def drawn() -> torch.Tensor:
        values = torch.rand(n, generator=generator)
        return values if group == 1 else values[::group].repeat_interleave(group)

    u, offset, jitter = torch.rand(3, n, generator=generator)
    if config.stratified or group > 1:
        which, place = torch.arange(n) // group, torch.arange(n) % group
        start, parts = (which / n + offset[0], n) if config.stratified else (offset[which], group)
        u = (place / group + start + (jitter - 0.5) * 0.5 / parts) % 1
    azimuth = config.azimuth_min + (config.azimuth_max - config.azimuth_min) * u
    span = config.elevation_max - config.elevation_min
    elevation = config.elevation_min + span * drawn()
    ones = torch.ones(n)
    distance, fov_y = config.distance * ones, config.fov_y * ones
    if config.distance_max is not None:
        distance += (config.distance_max - config.distance) * drawn()
    if config.fov_y_max is not None:
        fov_y += (config.fov_y_max - config.fov_y) * drawn()
    return Cameras(azimuth, elevation, distance, fov_y)


def orbit(n: int, elevation: float = 15.0, distance: float = 3.0, fov_y: float = 36.0, start: float = 0.0) -> Cameras:
    """n cameras on a full turn around the object, from the azimuth `start` on; the last does not repeat the first."""
    if n < 1:
        raise ValueError(f"orbit needs n >= 1, got {n}.")
    ones = torch.ones(n)
    return Cameras(start + torch.arange(n) * (360.0 / n), elevation * ones, distance * ones, fov_y * ones)


def view_name(azimuth: float, elevation: float, front: float = 45.0) -> str:
    """The word for a view: overhead from 60 degrees up, front or back within `front` degrees of them, else side."""
    if elevation >= 60:
        return "overhead"
    a = abs((azimuth + 180) % 360 - 180)
    return "front" if a <= front else "side" if a < 180 - front else "back"
