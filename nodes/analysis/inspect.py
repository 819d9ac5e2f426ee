"""The directions of a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ...tbsd_core.analysis.directions import DirectionsConfig
from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.guidance import Bridge
from ...tbsd_core.optim import OptimConfig
from ...tbsd_core.scenes import Scene
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import run_directions, title_of
from ..optimize import picture_size
from ..sockets import GuidedModel, default
from ..widgets import widgets, with_widgets
from .inputs import numbers, outputs, result, text_input


class InspectDirections(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_InspectDirections",
            display_name="Inspect Directions",
            category=sockets.ANALYSIS,
            description="Decodes the directions that methods are made of: classifier, GNP, TNP, Bridge, and the "
            "method itself, at several noise levels, with their lengths and angles.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input(
                    "guidance", tooltip='The method and its models. Its prompts need "both" in Target Negative Prompt.'
                ),
                io.Image.Input("image", optional=True, tooltip="The picture to inspect; or connect a scene."),
                sockets.SceneSocket.Input(
                    "scene", optional=True, tooltip="A scene to inspect; an object is seen from the front."
                ),
                text_input(
                    "noise_levels",
                    default(DirectionsConfig, "t"),
                    "Noise levels, one row each. 0 is a clean picture, 1 is pure noise.",
                ),
                text_input(
                    "progress",
                    default(DirectionsConfig, "progress"),
                    "Moments of a run, 0 to 1, for Bridge and the method: Bridge is SDS before its switch.",
                ),
                *widgets(DirectionsConfig(), ("post", "shown", "n_noises")),
                sockets.seed_input("Decides the noise."),
                sockets.CamerasSocket.Input(
                    "cameras", optional=True, tooltip="For an object: distance and height of the view."
                ),
                io.Int.Input(
                    "size",
                    optional=True,
                    min=16,
                    max=2048,
                    force_input=True,
                    tooltip="For an object: pixels of the view. 64 if nothing is connected.",
                ),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, noise_levels=None, progress=None) -> bool | str:
        def build(noise_levels: str, progress: str) -> DirectionsConfig:
            return DirectionsConfig(t=numbers(noise_levels, "noise_levels"), progress=numbers(progress, "progress"))

        return problem(cls, build, noise_levels=noise_levels, progress=progress)

    @classmethod
    def execute(
        cls,
        guidance: GuidedModel,
        noise_levels: str,
        progress: str,
        image=None,
        scene: Scene | None = None,
        cameras: CameraConfig | None = None,
        size: int | None = None,
        **inputs: Any,
    ) -> io.NodeOutput:
        subject = scene if image is None else image
        if subject is None or (image is not None and scene is not None):
            raise ValueError("Inspect Directions needs one picture to look at: connect either an image or a scene.")
        moments = {"t": numbers(noise_levels, "noise_levels"), "progress": numbers(progress, "progress")}
        config = replace(with_widgets(DirectionsConfig(), inputs), **moments)
        if isinstance(guidance.guidance, Bridge):
            config = replace(config, bridge=guidance.guidance.config)
        pixels = size or default(OptimConfig, "size")
        if scene is not None and not scene.uses_cameras:
            pixels = picture_size(scene, guidance)
        cameras = cameras or CameraConfig()
        title = title_of(guidance)
        made = run_directions(guidance, subject, cameras, pixels, config, cls.hidden.unique_id, title)
        return result(made, cls)


NODES = [InspectDirections]
