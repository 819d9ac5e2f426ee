"""Score distillation via inversion as a node."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import SDI, SDIConfig
from .. import sockets
from ..base import Node
from ..sockets import default
from .widgets import guidance_output, guided, model_inputs, scale_input, share_input


class SDIGuidance(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SDIGuidance",
            display_name="SDI Guidance",
            category=sockets.GUIDANCE,
            description="Score Distillation via Inversion: SDS with the noise that the model itself finds in the "
            "render. Slow and detailed.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(SDIConfig),
                io.Float.Input(
                    "inversion_scale",
                    default=default(SDIConfig, "inversion_scale"),
                    min=-100.0,
                    max=100.0,
                    step=0.5,
                    round=False,
                    tooltip="Guidance while the noise is looked for. Negative, as published, moves away from the "
                    "prompt.",
                ),
                io.Int.Input(
                    "n_inversion_steps",
                    default=default(SDIConfig, "n_inversion_steps"),
                    min=1,
                    max=100,
                    tooltip="Steps of that for the whole schedule. Each costs two predictions.",
                ),
                share_input(SDIConfig, "eta", "Noise that is added on the way. 0 is deterministic."),
                share_input(SDIConfig, "overshoot", "Most that the way goes beyond the timestep, in steps."),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(
        cls, model, vae, prompts, guidance_scale, inversion_scale, n_inversion_steps, eta, overshoot
    ) -> io.NodeOutput:
        config = SDIConfig(
            guidance_scale=guidance_scale,
            inversion_scale=inversion_scale,
            n_inversion_steps=n_inversion_steps,
            eta=eta,
            overshoot=overshoot,
        )
        return guided(model, vae, prompts, SDI(config))
