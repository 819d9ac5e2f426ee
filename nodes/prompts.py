"""The target, and the words for good and bad pictures of it."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..tbsd_core.presets import with_settings
from ..tbsd_core.prompts import PromptConfig
from . import sockets
from .base import Node, problem
from .bridge.prompts import Prompts, check_texts, encode_prompts, from_conditioning
from .sockets import Recommended, default

NEGATIVES = {
    "target negative (TNP)": ("target_negative",),
    "generic negative (GNP)": ("negative",),
    "both": ("target_negative", "negative"),
}


class PromptEncode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_PromptEncode",
            display_name="Prompt Encode",
            category=sockets.PROMPTS,
            description="Encodes a prompt once for each view direction, together with the empty prompt.",
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder that belongs to the model."),
                io.String.Input(
                    "prompt",
                    default="a photo of a brick house",
                    multiline=True,
                    tooltip="The prompt: the object or picture to make. Weights such as (brick:1.3) work.",
                ),
                io.Boolean.Input(
                    "view_dependent",
                    default=default(PromptConfig, "view_dependent"),
                    tooltip='Adds "front view", "side view" and so on, depending on where the camera stands. Keep '
                    "it on for 3D, or the object may get several faces. Pictures ignore it.",
                ),
            ],
            outputs=[sockets.PromptsSocket.Output(display_name="prompts", tooltip="Connect to a guidance node.")],
        )

    @classmethod
    def validate_inputs(cls, prompt=None) -> bool | str:
        return problem(cls, PromptConfig, prompt=prompt)

    @classmethod
    def execute(cls, clip, prompt: str, view_dependent: bool) -> io.NodeOutput:
        config = PromptConfig(prompt=prompt, target_modifier="", view_dependent=view_dependent)
        return io.NodeOutput(Prompts(encode_prompts(clip, config, ("target", "uncond")), clip, config))


class TargetNegativePrompt(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_TargetNegativePrompt",
            display_name="Target Negative Prompt",
            category=sockets.PROMPTS,
            description=(
                "Adds a negative prompt. TNP names the target together with its faults and gives strong texture; "
                "GNP names the faults alone and is safer for the shape. TBSD needs TNP."
            ),
            inputs=[
                sockets.PromptsSocket.Input("prompts", tooltip="Prompts from Prompt Encode."),
                io.Combo.Input(
                    "kind",
                    options=list(NEGATIVES),
                    default=next(iter(NEGATIVES)),
                    tooltip="TNP: target and faults. GNP: faults alone. Both: for comparing methods.",
                ),
                io.String.Input(
                    "descriptors",
                    default=default(PromptConfig, "negative_descriptors"),
                    multiline=True,
                    tooltip="Faults that a picture of the target could have, separated by commas.",
                ),
                io.String.Input(
                    "target_modifier",
                    default=default(PromptConfig, "target_modifier"),
                    multiline=True,
                    tooltip="Praise to add to the target only. May be empty.",
                ),
                sockets.SettingsSocket.Input(
                    "settings",
                    optional=True,
                    tooltip="From Recommended Settings: sets descriptors and target_modifier to suit the model. "
                    "The two widgets of this node are then ignored.",
                ),
            ],
            outputs=[sockets.PromptsSocket.Output(display_name="prompts", tooltip="Connect to a guidance node.")],
        )

    @classmethod
    def execute(
        cls, prompts: Prompts, kind: str, descriptors: str, target_modifier: str, settings: Recommended | None = None
    ) -> io.NodeOutput:
        check_texts(prompts, "Target Negative Prompt")
        if prompts.config is None:
            raise ValueError(
                "These prompts came ready-made from conditioning, so there is no text to extend. Encode the negative "
                "with CLIP Text Encode and connect it to Prompts From Conditioning."
            )
        config = replace(prompts.config, negative_descriptors=descriptors, target_modifier=target_modifier)
        if settings is not None:
            names = ("negative_descriptors", "target_modifier")
            plain = replace(config, **{name: default(PromptConfig, name) for name in names})
            config = with_settings(plain, "prompt", settings.preset)
        added = encode_prompts(prompts.clip, config, ("target", *NEGATIVES[kind]))
        return io.NodeOutput(Prompts(prompts.set.with_conditions(added), prompts.clip, config))


class PerpNeg(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_PerpNeg",
            display_name="Perp-Neg",
            category=sockets.PROMPTS,
            description="Keeps each side of an object from looking like another side. Works against a face on "
            "every side (Janus).",
            inputs=[
                sockets.PromptsSocket.Input(
                    "prompts", tooltip="Prompts with view_dependent on, from Prompt Encode or Target Negative Prompt."
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    round=False,
                    tooltip="How strongly the views are kept apart. 1 as published, 0 leaves it out. Too much "
                    "flattens the object or washes out its colours.",
                ),
            ],
            outputs=[sockets.PromptsSocket.Output(display_name="prompts", tooltip="Connect to a guidance node.")],
        )

    @classmethod
    def execute(cls, prompts: Prompts, strength: float) -> io.NodeOutput:
        check_texts(prompts, "Perp-Neg")
        config = None if prompts.config is None else replace(prompts.config, perp_neg=strength)
        return io.NodeOutput(replace(prompts, set=replace(prompts.set, perp_neg=strength), config=config))


class PromptsFromConditioning(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_PromptsFromConditioning",
            display_name="Prompts From Conditioning",
            category=sockets.PROMPTS,
            description=(
                "Uses conditioning from any node as prompts: other text encoders, ControlNet, LoRA hooks. All "
                "views share it. Conditioning that is limited to areas, masks or timestep ranges is refused."
            ),
            inputs=[
                io.Conditioning.Input("target", tooltip="The object or picture to make."),
                io.Conditioning.Input("uncond", tooltip="The empty prompt."),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="The faults alone (GNP), for CSD, NFSD, and ISM or Bridge with a generic negative.",
                ),
                io.Conditioning.Input(
                    "target_negative", optional=True, tooltip="The target with its faults (TNP), for TBSD and Bridge."
                ),
                io.Conditioning.Input(
                    "source", optional=True, tooltip="The scene before an edit, for DDS and other editing methods."
                ),
            ],
            outputs=[sockets.PromptsSocket.Output(display_name="prompts", tooltip="Connect to a guidance node.")],
        )

    @classmethod
    def execute(cls, target, uncond, negative=None, target_negative=None, source=None) -> io.NodeOutput:
        named = dict(target=target, uncond=uncond, negative=negative, target_negative=target_negative, source=source)
        return io.NodeOutput(from_conditioning(**named))


NODES = [PromptEncode, TargetNegativePrompt, PromptsFromConditioning, PerpNeg]
