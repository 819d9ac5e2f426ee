"""SDS-Bridge as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import Bridge, BridgeConfig
from .. import sockets
from ..base import Node
from ..sockets import default
from .widgets import NEGATIVES, anchor_input, guidance_output, guided, model_inputs, scale_input, weighting_input


class BridgeGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_BridgeGuidance",
            display_name="Bridge Guidance",
            category=sockets.GUIDANCE,
            description="SDS-Bridge: the classic method first, then away from a negative prompt, to compare with.",
            inputs=[
                *model_inputs("Prompts with the negative that is chosen below, from Target Negative Prompt."),
                scale_input(BridgeConfig),
                io.Float.Input(
                    "switch",
                    default=default(BridgeConfig, "switch"),
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="When the second stage begins, as a part of the run.",
                ),
                io.Combo.Input(
                    "negative",
                    options=list(NEGATIVES),
                    default=next(k for k, v in NEGATIVES.items() if v == default(BridgeConfig, "negative")),
                    tooltip="What the second stage moves away from. TNP gives strong texture and can bend the shape; "
                    "GNP is safer.",
                ),
                anchor_input(BridgeConfig),
                weighting_input(BridgeConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, switch, negative, anchor, weighting) -> io.NodeOutput:
        config = BridgeConfig(
            guidance_scale=guidance_scale,
            switch=switch,
            negative=NEGATIVES[negative],
            anchor=anchor,
            weighting=weighting,
        )
        return guided(model, vae, prompts, Bridge(config))
