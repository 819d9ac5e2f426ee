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
    """Inputs that all region nodes share; `old` is the default for the colours to mix with."""
    return [
        io.Boolean.Input(
            "invert",
            default=False,
            tooltip="Off: this part may change. On: this part is locked, and everything else may change.",
        ),
        io.Float.Input(
            "border",
            default=BORDER,
            min=0.0,
            max=512.0,
            step=0.5,
            tooltip="Width of the blend between old and new, inside the part that may change: in pixels of a "
            "picture, texels along a mesh, or distances between splats. 0: a hard edge.",
        ),
        io.Combo.Input(
            "mix_with",
            options=list(OLD),
            default=old,
            tooltip="The colours that new ones blend with across the border. what was there: the old colours. what "
            "is locked: the colours of the nearest locked place, for old colours that are missing or wrong. "
            "Splats always use what was there.",
        ),
        sockets.RegionSocket.Input(
            "region", optional=True, tooltip="Another region of the same scene, to combine this one with."
        ),
        io.Combo.Input(
            "combine",
            options=list(COMBINE),
            default=next(iter(COMBINE)),
            optional=True,
            tooltip="How to combine it with the connected region. add: all of both; overlap: only the part that "
            "both share; subtract: the connected region without this one.",
        ),
    ]


def region_outputs() -> list[io.Output]:
    return [
        sockets.RegionSocket.Output(display_name="region", tooltip="Connect to Optimize Image or Optimize 3D."),
        io.Image.Output(display_name="preview", tooltip="The scene, with the part that may change in orange."),
        io.Mask.Output(
            display_name="mask",
            tooltip="1 where the scene may change: in pixels, or in the texture of a mesh. You can paint over it.",
        ),
    ]


class RegionFromMask(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RegionFromMask",
            display_name="Region from Mask",
            category=sockets.SCENE,
            description="A painted mask as the part of a picture, or of a mesh's texture, that a run may change.",
            is_output_node=True,
            inputs=[
                scene_input("An Image Scene made from a picture, or a Mesh Texture Scene with keep_colors on."),
                io.Mask.Input(
                    "mask",
                    tooltip="White may change. The mask must have the size of the scene's picture or of the mesh's "
                    "texture.",
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
            description="The part of an object that a camera sees. Inverted: everything that a photo did not show.",
            is_output_node=True,
            inputs=[
                scene_input("A Mesh Texture Scene with keep_colors on, or a Gaussian Scene."),
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
                    "mask",
                    optional=True,
                    tooltip="A mask painted over a picture from this camera. Only its white part counts.",
                ),
                sockets.CameraInfoSocket.Input(
                    "camera_info",
                    optional=True,
                    tooltip="A camera from Load 3D, Preview 3D or Create Camera Info. It replaces the four numbers.",
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
            description="Connected parts of a mesh, chosen by number, or its materials. No edge joins such a part to "
            "the rest.",
            is_output_node=True,
            inputs=[
                scene_input("A Mesh Texture Scene with keep_colors on."),
                io.String.Input(
                    "parts", default="0", tooltip="Part numbers, separated by commas. 0 has the largest surface."
                ),
                *region_inputs(),
                io.String.Input(
                    "materials",
                    default="",
                    optional=True,
                    tooltip="Instead of parts: materials of a GLB file by name or number, separated by commas, such as "
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
