"""Interval score matching as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import ISM, ISMConfig
from ...tbsd_core.guidance.ism import BASELINES
from .. import sockets
from ..base import Node
from ..sockets import default
from .widgets import guidance_output, guided, model_inputs, scale_input, share_input, weighting_input


class ISMGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ISMGuidance",
            display_name="ISM Guidance",
            category=sockets.GUIDANCE,
            description="Interval Score Matching (LucidDreamer): compares two neighbouring noise levels of the "
            "model's own trajectory.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; with a generic negative (GNP) if the baseline is negative."),
                scale_input(ISMConfig),
                io.Combo.Input(
                    "baseline",
                    options=list(BASELINES),
                    default=default(ISMConfig, "baseline"),
                    tooltip="What the prompt is compared with: the empty prompt, or the generic negative.",
                ),
                share_input(
                    ISMConfig,
                    "stride",
                    "Step of the way up, as a part of the schedule. Larger is faster and coarser.",
                    0.01,
                ),
                share_input(
                    ISMConfig, "interval", "Distance of the two levels in the end, as a part of the schedule.", 0.001
                ),
                share_input(ISMConfig, "interval_start", "The same at the start of the run.", 0.001),
                share_input(ISMConfig, "interval_anneal", "When the distance has its end value, as a part of the run."),
                weighting_input(ISMConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(
        cls, model, vae, prompts, guidance_scale, baseline, stride, interval, interval_start, interval_anneal, weighting
    ) -> io.NodeOutput:
        config = ISMConfig(
            guidance_scale=guidance_scale,
            baseline=baseline,
            stride=stride,
            interval=interval,
            interval_start=interval_start,
            interval_anneal=interval_anneal,
            weighting=weighting,
        )
        return guided(model, vae, prompts, ISM(config))
