"""Where a run may change a scene."""

from __future__ import annotations

from functools import partial

from comfy_api.latest import io, ui

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.regions import BORDER, COMBINE, LOCKED, OLD, WAS
from . import sockets
from .base import Node
from .bridge.interop.cameras import Camera, from_info
from .bridge.regions import finished, from_mask, from_materials, from_parts, from_view
from .widgets import widgets


def scene_input(tooltip: str) -> io.Input:
    return sockets.SceneSocket.Input("scene", tooltip=tooltip)


def region_inputs(old: str = WAS) -> list[io.Input]:
    """What all of them have; `old` is what most mix with."""
    return [
        io.Boolean.Input(
            "invert",
            default=False,
            tooltip="On: this is locked, and everything else may change. Off: this may change.",
        ),
        io.Float.Input(
            "border",
            default=BORDER,
            min=0.0,
            max=512.0,
            step=0.5,
            tooltip="Width over which old and new are mixed, inside the part that may change: pixels of a picture, "
            "texels along a mesh, distances between splats. 0: a hard edge.",
        ),
        io.Combo.Input(
            "mix_with",
            options=list(OLD),
            default=old,
            tooltip="What new colours are mixed with over the border. what was there: the colours it had. what is "
            "locked: those of the nearest place that stays, where what was there is missing or wrong. Splats: always "
            "what was there.",
        ),
        sockets.RegionSocket.Input(
            "region", optional=True, tooltip="Another region of the scene, to combine this with."
        ),
        io.Combo.Input(
            "combine",
            options=list(COMBINE),
            default=next(iter(COMBINE)),
            optional=True,
            tooltip="With the connected region. add: both; overlap: what is in both; subtract: that one without this.",
        ),
    ]


def region_outputs() -> list[io.Output]:
    return [
        sockets.RegionSocket.Output(display_name="region", tooltip="Connect to Optimize Image or Optimize 3D."),
        io.Image.Output(display_name="preview", tooltip="The scene; what may change is orange."),
        io.Mask.Output(
            display_name="mask", tooltip="1 where it may change: in pixels, or in the texture of a mesh, to paint in."
        ),
    ]


class RegionFromMask(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RegionFromMask",
            display_name="Region from Mask",
            category=sockets.SCENE,
            description="The part of a picture, or of a mesh's texture, that a run may change: painted as a mask.",
            is_output_node=True,
            inputs=[
                scene_input("An Image Scene made of a picture, or a Mesh Texture Scene with keep_colors."),
                io.Mask.Input(
                    "mask", tooltip="White may change. As large as the picture of the scene, or as the mesh's texture."
                ),
                *region_inputs(),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(
        cls, scene, mask, invert: bool, border: float, mix_with: str, region=None, combine="add"
    ) -> io.NodeOutput:
        made = finished(scene, partial(from_mask, scene, mask, border), invert, mix_with, combine, region)
        return io.NodeOutput(*made, ui=ui.PreviewImage(made[1], cls=cls))


class RegionFromView(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RegionFromView",
            display_name="Region from View",
            category=sockets.SCENE,
            description="The part of an object that a camera sees; inverted, what a photo did not show.",
            is_output_node=True,
            inputs=[
                scene_input("A Mesh Texture Scene with keep_colors, or a Gaussian Scene."),
                io.Float.Input(
                    "azimuth",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    tooltip="Degrees: 0 looks at the front, 180 at the back.",
                ),
                io.Float.Input(
                    "elevation", default=0.0, min=-90.0, max=90.0, step=1.0, tooltip="Camera height in degrees."
                ),
                *widgets(CameraConfig(), only=("distance", "fov_y")),
                *region_inputs(LOCKED),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Painted over a picture from this camera: only what is white counts."
                ),
                sockets.CameraInfoSocket.Input(
                    "camera_info",
                    optional=True,
                    tooltip="A camera of Load 3D, Preview 3D or Create Camera Info, instead of the four numbers.",
                ),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(
        cls, scene, azimuth, elevation, distance, fov_y, invert, border, mix_with, region=None, combine="add",
        mask=None, camera_info=None,
    ) -> io.NodeOutput:  # fmt: skip
        camera = Camera(azimuth, elevation, distance, fov_y) if camera_info is None else from_info(camera_info, fov_y)
        make = partial(from_view, scene, camera, mask, border)
        made = finished(scene, make, invert, mix_with, combine, region, camera)
        return io.NodeOutput(*made, ui=ui.PreviewImage(made[1], cls=cls))


class RegionFromPart(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RegionFromPart",
            display_name="Region from Part",
            category=sockets.SCENE,
            description="Connected parts of a mesh, by number: those that no edge joins to the rest. Or its materials.",
            is_output_node=True,
            inputs=[
                scene_input("A Mesh Texture Scene with keep_colors."),
                io.String.Input("parts", default="0", tooltip="Numbers with commas between; 0 has the most surface."),
                *region_inputs(),
                io.String.Input(
                    "materials",
                    default="",
                    optional=True,
                    tooltip="Instead of parts: materials of a GLB file by name or number, with commas between, such as "
                    "Roof, 2. Empty: parts.",
                ),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(
        cls, scene, parts: str, invert: bool, border: float, mix_with: str, region=None, combine="add", materials="",
    ) -> io.NodeOutput:  # fmt: skip
        make = partial(from_materials, scene, materials) if materials.strip() else partial(from_parts, scene, parts)
        made = finished(scene, partial(make, border), invert, mix_with, combine, region)
        return io.NodeOutput(*made, ui=ui.PreviewImage(made[1], cls=cls))


NODES = [RegionFromView, RegionFromMask, RegionFromPart]
