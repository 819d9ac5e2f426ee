"""Entropic score distillation as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import ESD, ESDConfig
from ...tbsd_core.priors.base import LoRAConfig
from .. import sockets
from ..base import Node
from ..sockets import default
from .widgets import guidance_output, guided, lora_inputs, model_inputs, scale_input, weighting_input


class ESDGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ESDGuidance",
            display_name="ESD Guidance",
            category=sockets.GUIDANCE,
            description="Entropic Score Distillation: VSD that also keeps the views of an object different from each "
            "other.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(ESDConfig),
                io.Float.Input(
                    "entropy",
                    default=default(ESDConfig, "entropy"),
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much views are kept apart. 0 is VSD.",
                ),
                weighting_input(ESDConfig),
                *lora_inputs(),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, entropy, weighting, lora_rank, lora_lr) -> io.NodeOutput:
        lora = LoRAConfig(rank=lora_rank, lr=lora_lr)
        config = ESDConfig(guidance_scale=guidance_scale, entropy=entropy, weighting=weighting, lora=lora)
        return guided(model, vae, prompts, ESD(config))
