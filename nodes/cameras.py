"""Where the training cameras stand."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CAMERA_PRESETS, CameraConfig, camera_preset
from . import sockets
from .base import Node, problem
from .sockets import default


def number(name: str, low: float, high: float, tooltip: str, step: float = 1.0) -> io.Float.Input:
    return io.Float.Input(
        name, default=default(CameraConfig, name), min=low, max=high, step=step, round=False, tooltip=tooltip
    )


class CamerasNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Cameras",
            display_name="Cameras",
            category=sockets.SCENE,
            description="From where the object is seen while it is optimised. Angles in degrees, 0 is the front.",
            inputs=[
                number("azimuth_min", -360, 360, "Start of the turn around the object; -180 to 180 is all around."),
                number("azimuth_max", -360, 360, "End of the turn around the object."),
                number("elevation_min", -90, 90, "Lowest camera: 0 is level, negative looks up from below."),
                number("elevation_max", -90, 90, "Highest camera: 90 looks straight down."),
                number("distance", 0.5, 20, "Distance from the centre; the object has a radius of about 1.", 0.1),
                number("fov_y", 5, 120, "Vertical opening angle of the lens; a small angle flattens the picture."),
                io.Boolean.Input(
                    "stratified",
                    default=default(CameraConfig, "stratified"),
                    tooltip="Spread the views of a step evenly around the object. Helps against several faces.",
                ),
            ],
            outputs=[sockets.CamerasSocket.Output(display_name="cameras", tooltip="Connect to Optimize 3D.")],
        )

    @classmethod
    def validate_inputs(
        cls, azimuth_min=None, azimuth_max=None, elevation_min=None, elevation_max=None
    ) -> bool | str:  # fmt: skip
        bounds = dict(azimuth_min=azimuth_min, azimuth_max=azimuth_max)
        return problem(
            cls, CameraConfig, **bounds, elevation_min=elevation_min, elevation_max=elevation_max
        )

    @classmethod
    def execute(cls, **values) -> io.NodeOutput:
        return io.NodeOutput(CameraConfig(**values))


class CameraPresetNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        listed = "; ".join(f"{name}: {text}" for name, (text, _) in CAMERA_PRESETS.items())
        return io.Schema(
            node_id="TBSD_CameraPreset",
            display_name="Camera Preset",
            category=sockets.SCENE,
            description="A ready-made choice of training cameras; Cameras sets each number.",
            inputs=[io.Combo.Input("preset", options=list(CAMERA_PRESETS), tooltip=listed)],
            outputs=[sockets.CamerasSocket.Output(display_name="cameras", tooltip="Connect to Optimize 3D.")],
        )

    @classmethod
    def execute(cls, preset: str) -> io.NodeOutput:
        return io.NodeOutput(camera_preset(preset))
