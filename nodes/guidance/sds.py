"""Score distillation sampling as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import SDS, SDSConfig
from .. import sockets
from ..base import Node
from .widgets import guidance_output, guided, model_inputs, scale_input, weighting_input


class SDSGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SDSGuidance",
            display_name="SDS Guidance",
            category=sockets.GUIDANCE,
            description="Score Distillation Sampling (DreamFusion): the classic method, to compare with.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(SDSConfig),
                weighting_input(SDSConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, weighting) -> io.NodeOutput:
        return guided(model, vae, prompts, SDS(SDSConfig(guidance_scale=guidance_scale, weighting=weighting)))
