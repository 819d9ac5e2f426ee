"""Balanced score distillation as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import BSD, BSDConfig
from .. import sockets
from ..base import Node
from .widgets import guidance_output, guided, model_inputs, scale_input, weighting_input


class BSDGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_BSDGuidance",
            display_name="BSD Guidance",
            category=sockets.GUIDANCE,
            description="Balanced Score Distillation (PlacidDreamer): weighs the prompt's direction against "
            "smoothing, so that it cannot saturate.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(BSDConfig),
                weighting_input(BSDConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, weighting) -> io.NodeOutput:
        config = BSDConfig(guidance_scale=guidance_scale, weighting=weighting)
        return guided(model, vae, prompts, BSD(config))
