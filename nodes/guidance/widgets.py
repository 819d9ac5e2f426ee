"""What the guidance nodes share: their models, widgets that several methods have, and what they put out."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.guidance import WEIGHTINGS
from ...tbsd_core.priors.base import LoRAConfig
from .. import sockets
from ..bridge.prompts import Prompts, check_conditions
from ..sockets import GuidedModel, default

NEGATIVES = {"target negative (TNP)": "target_negative", "generic negative (GNP)": "negative"}


def model_inputs(prompts_tooltip: str) -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="The diffusion model that judges the pictures. LoRAs and patches apply."),
        io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
        sockets.PromptsSocket.Input("prompts", tooltip=prompts_tooltip),
    ]


def scale_input(config: type) -> io.Float.Input:
    return io.Float.Input(
        "guidance_scale",
        default=default(config, "guidance_scale"),
        min=0.1,
        max=1000.0,
        step=0.5,
        round=False,
        tooltip="How hard the prompt pulls. Too low is blurry, too high is oversaturated.",
    )


def anchor_input(config: type) -> io.Float.Input:
    return io.Float.Input(
        "anchor",
        default=default(config, "anchor"),
        min=0.0,
        max=10.0,
        step=0.1,
        round=False,
        tooltip="Pull towards pictures that the model finds likely, whatever the prompt. 0 leaves it out.",
    )


def share_input(config: type, name: str, tooltip: str, minimum: float = 0.0) -> io.Float.Input:
    """A number up to 1, most often a part of something."""
    value = default(config, name)
    return io.Float.Input(name, default=value, min=minimum, max=1.0, step=0.01, round=False, tooltip=tooltip)


def weighting_input(config: type) -> io.Combo.Input:
    return io.Combo.Input(
        "weighting",
        options=list(WEIGHTINGS),
        default=default(config, "weighting"),
        tooltip="How much noisy and clean timesteps count. sigma2 favours the noisy ones, as in DreamFusion; velocity "
        "is the form for SD3, Flux and other flow models.",
    )


def lora_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "lora_rank",
            default=default(LoRAConfig, "rank"),
            min=1,
            max=128,
            tooltip="Size of the LoRA that learns what the renders look like. It is dropped after the run.",
        ),
        io.Float.Input(
            "lora_lr",
            default=default(LoRAConfig, "lr"),
            min=0.000001,
            max=0.1,
            step=0.00001,
            round=False,
            tooltip="Learning rate of that LoRA. Raise it if the result stays as saturated as with SDS.",
        ),
    ]


def guidance_output() -> io.Output:
    return sockets.GuidanceSocket.Output(display_name="guidance", tooltip="Connect to Optimize 3D or Optimize Image.")


def guided(model, vae, prompts: Prompts, method) -> io.NodeOutput:
    """Pack a method with its models; what the prompts lack is reported here, before the optimisation."""
    check_conditions(prompts, method)
    return io.NodeOutput(GuidedModel(model, vae, prompts, method))
