"""The directions of a picture."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.analysis.directions import POSTS, SHOWN, DirectionsConfig
from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.guidance import Bridge, BridgeConfig
from ...tbsd_core.optim import OptimConfig
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import run_directions, title_of
from ..sockets import GuidedModel, default
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
                io.Image.Input("image", optional=True, tooltip="The picture to look at; or connect a scene."),
                sockets.SceneSocket.Input(
                    "scene", optional=True, tooltip="A scene to look at; an object is seen from the front."
                ),
                text_input(
                    "noise_levels", default(DirectionsConfig, "t"), "A row each: 0 is a clean picture, 1 pure noise."
                ),
                text_input(
                    "progress",
                    default(DirectionsConfig, "progress"),
                    "Moments of a run, 0 to 1, for Bridge and the method: Bridge is SDS before its switch.",
                ),
                io.Combo.Input(
                    "post",
                    options=list(POSTS),
                    default=default(DirectionsConfig, "post"),
                    tooltip="The post directions are target minus negative, or uncond minus negative.",
                ),
                io.Combo.Input(
                    "shown",
                    options=list(SHOWN),
                    default=default(DirectionsConfig, "shown"),
                    tooltip="decode: the direction itself through the VAE. change: how the picture changes by a step.",
                ),
                io.Int.Input(
                    "n_noises",
                    default=default(DirectionsConfig, "n_noises"),
                    min=1,
                    max=64,
                    tooltip="Draws of noise that each direction is the mean of. More is calmer and slower.",
                ),
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
        noise_levels,
        progress,
        post,
        shown,
        n_noises,
        seed,
        image=None,
        scene=None,
        cameras=None,
        size=None,
    ) -> io.NodeOutput:
        subject = scene if image is None else image
        if subject is None or (image is not None and scene is not None):
            raise ValueError("Inspect Directions needs one picture to look at: connect either an image or a scene.")
        config = DirectionsConfig(
            t=numbers(noise_levels, "noise_levels"),
            progress=numbers(progress, "progress"),
            post=post,
            shown=shown,
            n_noises=n_noises,
            seed=seed,
            bridge=guidance.guidance.config if isinstance(guidance.guidance, Bridge) else BridgeConfig(),
        )
        size = size or default(OptimConfig, "size")
        if scene is not None and not scene.uses_cameras:
            size = scene.config.size * (
                guidance.vae.spacial_compression_encode() if hasattr(scene.config, "channels") else 1
            )
        cameras = cameras or CameraConfig()
        title = title_of(guidance)
        made = run_directions(guidance, subject, cameras, size, config, cls.hidden.unique_id, title)
        return result(made, cls)


NODES = [InspectDirections]
