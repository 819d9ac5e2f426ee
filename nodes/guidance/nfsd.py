"""Noise-free score distillation as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import NFSD, NFSDConfig
from .. import sockets
from ..base import Node
from .widgets import guidance_output, guided, model_inputs, scale_input, share_input, weighting_input


class NFSDGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_NFSDGuidance",
            display_name="NFSD Guidance",
            category=sockets.GUIDANCE,
            description="Noise-Free Score Distillation: SDS whose noise is estimated from a negative prompt and "
            "taken out.",
            inputs=[
                *model_inputs("Prompts with a generic negative (GNP), from Target Negative Prompt."),
                scale_input(NFSDConfig),
                share_input(
                    NFSDConfig, "clean_below", "Timesteps below this part of the schedule count as free of noise."
                ),
                weighting_input(NFSDConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, clean_below, weighting) -> io.NodeOutput:
        config = NFSDConfig(guidance_scale=guidance_scale, clean_below=clean_below, weighting=weighting)
        return guided(model, vae, prompts, NFSD(config))
