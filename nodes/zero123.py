"""A picture instead of a text: image to 3D with a model that draws other views of it."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.optim import ReferenceConfig
from ..tbsd_core.priors.zero123 import KINDS
from . import sockets
from .base import Node
from .bridge.files import to_image
from .bridge.zero123 import NODE, picture_prompts
from .widgets import widgets, with_widgets


class Zero123Prompt(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Zero123Prompt",
            display_name=NODE,
            category=sockets.PROMPTS,
            description="Makes prompts of a picture, for Stable Zero123 and Zero123-XL: the model says what the object "
            "looks like from each side, and the front keeps the picture.",
            inputs=[
                io.ClipVision.Input(
                    "clip_vision", tooltip="From Image Only Checkpoint Loader (img2vid model), of the same file."
                ),
                io.Vae.Input("vae", tooltip="The VAE of the same file."),
                io.Image.Input("image", tooltip="One picture of the whole object, seen from its front."),
                io.Combo.Input(
                    "model_type",
                    options=list(KINDS),
                    default=KINDS[0],
                    tooltip="Which model the checkpoint holds: the two are told cameras in different numbers.",
                ),
                *widgets(ReferenceConfig()),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The MASK of Load Image: white where the picture is transparent. Put Invert Mask before a "
                    "mask that is white on the object.",
                ),
            ],
            outputs=[
                sockets.PromptsSocket.Output(
                    display_name="prompts", tooltip="Connect to a guidance node such as SDS Guidance."
                ),
                io.Image.Output(
                    display_name="picture", tooltip="The picture as the model sees it: cut out, centred, on white."
                ),
            ],
        )

    @classmethod
    def execute(cls, clip_vision, vae, image, model_type: str, mask=None, **values: float) -> io.NodeOutput:
        config = with_widgets(ReferenceConfig(), values)
        prompts = picture_prompts(clip_vision, vae, image, mask, model_type, config)
        assert prompts.reference is not None
        return io.NodeOutput(prompts, to_image(prompts.reference.on_white()))


NODES = [Zero123Prompt]
