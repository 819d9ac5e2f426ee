"""Distillation in latents and pixels as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import HiFA, HiFAConfig
from .. import sockets
from ..base import Node
from .widgets import guidance_output, guided, model_inputs, scale_input, share_input, weighting_input


class HiFAGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_HiFAGuidance",
            display_name="HiFA Guidance",
            category=sockets.GUIDANCE,
            description="HiFA: SDS, and beside it a pull of the pictures themselves towards the model's decoded "
            "estimate.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(HiFAConfig),
                share_input(
                    HiFAConfig,
                    "pixel_scale",
                    "Weight of the pull on the pictures. Lower it if the result over-saturates; 0 is SDS.",
                ),
                weighting_input(HiFAConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, pixel_scale, weighting) -> io.NodeOutput:
        config = HiFAConfig(guidance_scale=guidance_scale, pixel_scale=pixel_scale, weighting=weighting)
        return guided(model, vae, prompts, HiFA(config))
