"""Variational score distillation as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import VSD, VSDConfig
from ...tbsd_core.priors.base import LoRAConfig
from .. import sockets
from ..base import Node
from .widgets import guidance_output, guided, lora_inputs, model_inputs, scale_input, weighting_input


class VSDGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_VSDGuidance",
            display_name="VSD Guidance",
            category=sockets.GUIDANCE,
            description="Variational Score Distillation (ProlificDreamer): trains a LoRA beside the scene. Slower, and "
            "needs memory for the training.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(VSDConfig),
                weighting_input(VSDConfig),
                *lora_inputs(),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, weighting, lora_rank, lora_lr) -> io.NodeOutput:
        lora = LoRAConfig(rank=lora_rank, lr=lora_lr)
        config = VSDConfig(guidance_scale=guidance_scale, weighting=weighting, lora=lora)
        return guided(model, vae, prompts, VSD(config))
