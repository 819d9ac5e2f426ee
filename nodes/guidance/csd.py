"""Classifier score distillation as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import CSD, CSDConfig
from .. import sockets
from ..base import Node
from ..sockets import default
from .widgets import guidance_output, guided, model_inputs, weighting_input


class CSDGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def share(name: str, tooltip: str) -> io.Float.Input:
            value = default(CSDConfig, name)
            return io.Float.Input(name, default=value, min=0.0, max=10.0, step=0.05, round=False, tooltip=tooltip)

        return io.Schema(
            node_id="TBSD_CSDGuidance",
            display_name="CSD Guidance",
            category=sockets.GUIDANCE,
            description="Classifier Score Distillation: the prompt's direction alone, then away from a negative.",
            inputs=[
                *model_inputs("Prompts with a generic negative (GNP), unless both shares below are 0."),
                share("negative_start", "Share of the negative prompt at the start; 0 leaves it out."),
                share("negative_end", "Share of the negative prompt later; 1 leaves the empty prompt out."),
                io.Float.Input(
                    "anneal_end",
                    default=default(CSDConfig, "anneal_end"),
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="When the share has gone from start to end, as a part of the run.",
                ),
                weighting_input(CSDConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, negative_start, negative_end, anneal_end, weighting) -> io.NodeOutput:
        config = CSDConfig(
            negative_start=negative_start, negative_end=negative_end, anneal_end=anneal_end, weighting=weighting
        )
        return guided(model, vae, prompts, CSD(config))
