"""One node per guidance method: the method's settings together with the models and prompts it works on."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.balancing import BALANCERS, BalanceConfig, ProgressSchedule
from ..tbsd_core.balancing.schedules import KINDS
from ..tbsd_core.guidance import (
    CSD,
    ESD,
    SDS,
    TBSD,
    VSD,
    WEIGHTINGS,
    Bridge,
    BridgeConfig,
    CSDConfig,
    ESDConfig,
    SDSConfig,
    TBSDConfig,
    VSDConfig,
)
from ..tbsd_core.priors.base import LoRAConfig
from . import sockets
from .bridge.prompts import Prompts, check_conditions
from .sockets import GuidedModel, default

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
    return sockets.GuidanceSocket.Output(
        display_name="guidance", tooltip="Connect to Optimize 3D or Optimize Image."
    )


def guided(model, vae, prompts: Prompts, method) -> io.NodeOutput:
    """Pack a method with its models; what the prompts lack is reported here, before the optimisation."""
    check_conditions(prompts, method)
    return io.NodeOutput(GuidedModel(model, vae, prompts, method))


class TBSDGuidance(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Guidance",
            display_name="TBSD Guidance",
            category=sockets.GUIDANCE,
            description="Target-Balanced Score Distillation: balances shape against texture, step by step.",
            inputs=[
                *model_inputs("Prompts with a target negative, from Target Negative Prompt."),
                scale_input(TBSDConfig),
                io.Float.Input(
                    "texture_scale",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    round=False,
                    tooltip="How hard the texture direction pulls. 0 takes the guidance scale.",
                ),
                io.Combo.Input(
                    "balancer",
                    options=list(BALANCERS),
                    default=default(TBSDConfig, "balancer"),
                    tooltip="How shape and texture are weighed: MGDA avoids that one undoes the other, the schedule "
                    "moves from shape to texture over the run; fixed keeps half and half.",
                ),
                io.Float.Input(
                    "shape_floor",
                    default=default(BalanceConfig, "shape_floor"),
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    round=False,
                    tooltip="Least weight of the shape. Raise it if the object melts or becomes another one.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=list(KINDS),
                    default=default(ProgressSchedule, "kind"),
                    tooltip="How the attention moves from shape to texture over the run.",
                ),
                anchor_input(TBSDConfig),
                weighting_input(TBSDConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(
        cls, model, vae, prompts, guidance_scale, texture_scale, balancer, shape_floor, schedule, anchor, weighting
    ) -> io.NodeOutput:
        balance = BalanceConfig(shape_floor=shape_floor, schedule=ProgressSchedule(kind=schedule))
        config = TBSDConfig(
            guidance_scale=guidance_scale,
            texture_scale=texture_scale or None,
            balancer=balancer,
            balance=balance,
            anchor=anchor,
            weighting=weighting,
        )
        return guided(model, vae, prompts, TBSD(config))


class SDSGuidance(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SDSGuidance",
            display_name="SDS Guidance",
            category=sockets.GUIDANCE,
            description="Score Distillation Sampling (DreamFusion): the classic method, to compare with.",
            inputs=[
                *model_inputs("Prompts from Prompt Encode; a negative prompt is not used."),
                scale_input(SDSConfig),
                weighting_input(SDSConfig),
            ],
            outputs=[guidance_output()],
        )

    @classmethod
    def execute(cls, model, vae, prompts, guidance_scale, weighting) -> io.NodeOutput:
        return guided(model, vae, prompts, SDS(SDSConfig(guidance_scale=guidance_scale, weighting=weighting)))


class CSDGuidance(io.ComfyNode):
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


class BridgeGuidance(io.ComfyNode):
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


class VSDGuidance(io.ComfyNode):
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


class ESDGuidance(io.ComfyNode):
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
