"""Splats, from points or from the splats of another node or file."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.placement import SplatPlacementConfig
from ..tbsd_core.presets import with_settings
from ..tbsd_core.scenes import SCENES, GaussianConfig
from . import sockets
from .base import Node, problem
from .bridge.files import existing_output
from .bridge.interop.splats import gaussian_scene
from .sockets import Recommended
from .widgets import widgets, with_widgets

SPEC = SCENES["gaussian"]


class GaussianSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=SPEC.node,
            display_name=f"{SPEC.label} Scene",
            category=sockets.SCENE,
            description=SPEC.description,
            inputs=[
                *widgets(GaussianConfig()),
                sockets.scene_settings_input(),
                sockets.SplatSocket.Input(
                    "splat",
                    optional=True,
                    tooltip="Splats to start from instead of random points, such as TripoSplat's. They also set "
                    "the number of Gaussians.",
                ),
                sockets.SplatFileInput.Input(
                    "file_3d",
                    optional=True,
                    tooltip="A splat file to start from (.ply, .splat), from Load 3D or Save Splats. For other "
                    "formats, connect Get Splat in between.",
                ),
                io.String.Input(
                    "splat_file",
                    default="",
                    optional=True,
                    tooltip="The name of a splat file (.ply, .splat) in ComfyUI's input or output folder to start "
                    "from. Leave it empty for none.",
                ),
                *widgets(SplatPlacementConfig()),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize 3D or Render Views.")
            ],
        )

    @classmethod
    def validate_inputs(cls, splat_file: str | None = "") -> bool | str:
        return problem(
            cls, lambda splat_file: splat_file.strip() and existing_output(splat_file), splat_file=splat_file
        )

    @classmethod
    def fingerprint_inputs(cls, splat_file: str = "", **inputs) -> tuple:
        """A file that has changed is read again."""
        changed = existing_output(splat_file).stat().st_mtime if (splat_file or "").strip() else 0.0
        return (changed, *sorted((k, v) for k, v in inputs.items() if isinstance(v, (str, int, float))))

    @classmethod
    def execute(
        cls, splat=None, file_3d=None, splat_file: str = "", settings: Recommended | None = None, **values
    ) -> io.NodeOutput:
        config, place = with_widgets(GaussianConfig(), values), with_widgets(SplatPlacementConfig(), values)
        if settings is not None:
            settings.check_scene("gaussian")
            config = with_settings(config, "scene", settings.preset)
        scene, notes = gaussian_scene(config, place, splat, file_3d, splat_file)
        return io.NodeOutput(scene, ui={"text": ["\n".join(notes)]} if notes else None)
