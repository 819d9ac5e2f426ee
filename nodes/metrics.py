"""Pictures in numbers."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .base import Node
from .bridge.measure import as_text, measure, value

OUTPUTS = {
    "saturation": "Mean saturation of the foreground, 0 to 1.",
    "colourfulness": "Hasler and Suesstrunk's colourfulness: 0 is grey, 33 moderate, 82 high.",
    "contrast": "RMS contrast: spread of the brightness.",
    "sharpness": "Spread of the Laplacian of the brightness; noise counts as sharp.",
    "clip_score": "100 cos(picture, prompt); NaN without CLIP. Only numbers of the same CLIP model can be compared.",
    "identity_shape": "Probability that it is the object of truth_prompt; NaN without one.",
    "identity_material": "Probability that it is made of the material of truth_prompt; NaN without one.",
}


class Metrics(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Metrics",
            display_name="Image Metrics",
            category=sockets.OUTPUT,
            description="Measures pictures: colour, contrast, sharpness and CLIP score. For the demo models also "
            "the distance from the truth.",
            is_output_node=True,
            inputs=[
                io.Image.Input(
                    "images", tooltip="The pictures, or views of an object. Numbers are means over all of them."
                ),
                io.String.Input(
                    "truth_prompt",
                    default="",
                    tooltip='For pictures of the demo models: what they should show, such as "a brick house". They '
                    "are compared with the true object. Leave it empty for other models.",
                ),
                io.String.Input(
                    "prompt", default="", multiline=True, tooltip="For the CLIP score: what the pictures should show."
                ),
                io.String.Input(
                    "other_prompts",
                    default="",
                    multiline=True,
                    tooltip="For R-precision, one per line: prompts that the pictures should NOT be taken for.",
                ),
                io.ClipVision.Input("clip_vision", optional=True, tooltip="The vision half of a CLIP, for the score."),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The text half of the same CLIP, from Load CLIP. The text encoder of a checkpoint "
                    "usually lacks a part.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="All measures as a table."),
                *(io.Float.Output(display_name=name, tooltip=tip) for name, tip in OUTPUTS.items()),
            ],
        )

    @classmethod
    def execute(
        cls, images, truth_prompt: str, prompt: str, other_prompts: str, clip_vision=None, clip=None
    ) -> io.NodeOutput:
        others = [line.strip() for line in other_prompts.splitlines() if line.strip()]
        found, remarks = measure(images, truth_prompt, prompt, others, clip_vision, clip)
        text = as_text(found, len(images), remarks)
        return io.NodeOutput(text, *(value(found, name) for name in OUTPUTS), ui={"text": [text]})


NODES = [Metrics]
