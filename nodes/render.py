"""Looking at a scene."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CameraConfig
from . import sockets
from .base import Node
from .bridge.interop.cameras import Camera, from_info, to_info
from .bridge.orbit import orbit_ui
from .bridge.render import render_orbit
from .widgets import widgets


class RenderViews(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RenderViews",
            display_name="Render Views",
            category=sockets.OUTPUT,
            description="Renders a scene from all around. Drag to turn it. Connect the images to Create Video.",
            is_output_node=True,
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="The object to look at."),
                io.Int.Input(
                    "n_views", default=8, min=1, max=360, tooltip="Number of views on a full turn, from the front."
                ),
                io.Int.Input(
                    "size", default=128, min=16, max=2048, step=8, tooltip="Width and height of a picture in pixels."
                ),
                io.Float.Input(
                    "elevation", default=15.0, min=-90.0, max=90.0, step=1.0, tooltip="Camera height in degrees."
                ),
                *widgets(CameraConfig(), only=("distance", "fov_y")),
                sockets.CameraInfoSocket.Input(
                    "camera_info",
                    optional=True,
                    tooltip="A camera from Load 3D, Preview 3D or Create Camera Info, where the turn begins. It "
                    "overrides elevation, distance and fov_y.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="One picture per view."),
                io.Mask.Output(display_name="mask", tooltip="1 where the object is."),
                io.Image.Output(display_name="depth", tooltip="White is near, black is far or empty."),
                io.Image.Output(display_name="normals", tooltip="Directions of the surface in world space as colours."),
                sockets.camera_info_output("The camera of the first picture"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, scene, n_views, size, elevation, distance, fov_y, camera_info=None) -> io.NodeOutput:
        first = Camera(0.0, elevation, distance, fov_y) if camera_info is None else from_info(camera_info, fov_y)
        images, *rest = render_orbit(scene, n_views, size, first, cls.hidden.unique_id)
        return io.NodeOutput(images, *rest, to_info(first), ui=orbit_ui(images))


NODES = [RenderViews]
