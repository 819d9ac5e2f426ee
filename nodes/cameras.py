"""Where the training cameras stand."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CAMERA_PRESETS, CameraConfig, camera_preset
from . import sockets
from .base import Node, problem
from .bridge.interop.cameras import around, from_info, middle, to_info
from .widgets import widgets, with_widgets


class CamerasNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Cameras",
            display_name="Cameras",
            category=sockets.SCENE,
            description="Where the cameras stand while the object is optimised. Angles are in degrees; 0 is the front.",
            inputs=[
                *widgets(CameraConfig()),
                sockets.CameraInfoSocket.Input(
                    "camera_info",
                    optional=True,
                    tooltip="A camera from Load 3D, Preview 3D or Create Camera Info. It sets distance and lens, "
                    "and the ranges of azimuth and elevation move so that it stands in their middle.",
                ),
            ],
            outputs=[
                sockets.CamerasSocket.Output(display_name="cameras", tooltip="Connect to Optimize 3D."),
                sockets.camera_info_output("The camera in the middle of the ranges"),
            ],
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
    def execute(cls, camera_info=None, **values) -> io.NodeOutput:
        config = with_widgets(CameraConfig(), values)
        if camera_info is not None:
            config = around(config, from_info(camera_info, config.fov_y))
        return io.NodeOutput(config, to_info(middle(config)))


class CameraPresetNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        listed = "; ".join(f"{name}: {text}" for name, (text, _) in CAMERA_PRESETS.items())
        return io.Schema(
            node_id="TBSD_CameraPreset",
            display_name="Camera Preset",
            category=sockets.SCENE,
            description="A ready-made choice of training cameras. To set each number, use Cameras.",
            inputs=[io.Combo.Input("preset", options=list(CAMERA_PRESETS), tooltip=listed)],
            outputs=[sockets.CamerasSocket.Output(display_name="cameras", tooltip="Connect to Optimize 3D.")],
        )

    @classmethod
    def execute(cls, preset: str) -> io.NodeOutput:
        return io.NodeOutput(camera_preset(preset))


NODES = [CamerasNode, CameraPresetNode]
