"""Prompts encoded by ComfyUI's CLIP, or taken from CONDITIONING, as the core's prompt set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...tbsd_core.guidance import Guidance, all_conditions, method_of
from ...tbsd_core.optim import Reference
from ...tbsd_core.optim.adapter import ADAPTER_NAMES
from ...tbsd_core.prompts import PromptConfig, PromptSet, build_texts, encode_texts
from ...tbsd_core.prompts.texts import NEGATIVE_NAMES
from .conditioning import ConditioningCondition, to_condition


@dataclass(frozen=True)
class Prompts:
    """A prompt set, and how to encode more of the same prompt.

    Args:
        clip: the text encoder, or None if the conditions came ready-made.
        config: what the texts were built from, or None as above.
        reference: the picture that they are of, where they are not of texts.
    """

    set: PromptSet
    clip: Any = None
    config: PromptConfig | None = None
    reference: Reference | None = None

    def conditions(self) -> list[ConditioningCondition]:
        """Every condition of every view."""
        return [c for by_view in self.set.conditions.values() for c in by_view.values()]

    def negatives(self) -> list[ConditioningCondition]:
        """Those of them that attention patches take for negative."""
        return [c for name in NEGATIVE_NAMES for c in self.set.conditions.get(name, {}).values()]


def encode_prompts(clip, config: PromptConfig, names: Sequence[str]) -> PromptSet:
    """Encode the named conditions of a prompt with ComfyUI's CLIP."""
    if clip is None:
        raise ValueError("No CLIP: the loaded checkpoint has no text encoder. Connect a CLIP loader, or Demo Models.")

    def encode(text: str) -> ConditioningCondition:
        return to_condition(clip.encode_from_tokens_scheduled(clip.tokenize(text)), f"prompt {text!r}")

    return encode_texts(build_texts(config, names), encode)


def from_conditioning(**conditionings: list | None) -> Prompts:
    """Prompts of ready-made CONDITIONING by condition name; None if one is not connected."""
    conditions = {
        name: {"": to_condition(c, f'conditioning "{name}"')} for name, c in conditionings.items() if c is not None
    }
    return Prompts(PromptSet(conditions, {name: {"": ""} for name in conditions}))


def with_source(prompts: Prompts, text: str) -> Prompts:
    """Prompts that also describe the start of an edit; an empty text says nothing about it.

    Raises:
        ValueError: it is the prompt itself, or the prompts came ready-made or are of a picture, so that nothing can
            encode it.
    """
    check_texts(prompts, "A method that edits")
    if prompts.config is not None:
        config = replace(prompts.config, source=text)
        added = encode_prompts(prompts.clip, config, ("source",))
        return replace(prompts, set=prompts.set.with_conditions(added), config=config)
    if text.strip():
        raise ValueError(
            "These prompts came ready-made from conditioning, so source_prompt cannot be encoded. Leave it empty, and "
            "connect a CLIP Text Encode to source of Prompts From Conditioning."
        )
    if "source" in prompts.set.names or "uncond" not in prompts.set.names:
        return prompts
    empty = {"source": prompts.set.conditions["uncond"]}, {"source": {"": ""}}
    return replace(prompts, set=prompts.set.with_conditions(PromptSet(*empty)))


def check_texts(prompts: Prompts, what: str) -> None:
    """Raise ValueError if the prompts are of a picture; `what` needs texts."""
    if prompts.reference is not None:
        raise ValueError(
            f"{what} needs texts, but these prompts are of a picture, and their model reads no text. Use SDS, or "
            "another method that needs a target and an empty prompt only."
        )


def check_conditions(prompts: Prompts, guidance: Guidance) -> None:
    """Raise ValueError, saying what adds it, if the prompts lack a condition that the method needs at some time."""
    for progress in (0.0, 0.25, 0.5, 0.75, 1.0):
        for name in all_conditions(guidance, progress):
            if name not in ADAPTER_NAMES:
                if name not in prompts.set.names:
                    check_texts(prompts, method_of(guidance).label)
                prompts.set.select(name, [])
