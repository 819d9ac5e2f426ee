"""Where the training cameras stand."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CAMERA_PRESETS, CameraConfig, camera_preset
from . import sockets
from .base import Node, problem
from .widgets import widgets, with_widgets


class CamerasNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Cameras",
            display_name="Cameras",
            category=sockets.SCENE,
            description="From where the object is seen while it is optimised. Angles in degrees, 0 is the front.",
            inputs=widgets(CameraConfig()),
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
        return io.NodeOutput(with_widgets(CameraConfig(), values))


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


NODES = [CamerasNode, CameraPresetNode]
