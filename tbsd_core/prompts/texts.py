"""From one prompt to the texts of the named conditions, per view direction.

TNP (target negative prompt) keeps the target in the negative: "a brick house, blurry, dark". GNP
(generic negative prompt) is the descriptors alone: "blurry, dark". The construction comes from Rethinking Score
Distillation as a Bridge (arXiv:2406.09417), the two names from TBSD (arXiv:2511.11710). The source is the start of an
edit, in words; "" if nobody has described it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..settings import check_settings, setting

CONDITION_NAMES = ("target", "uncond", "negative", "target_negative", "source")
NEGATIVE_NAMES = ("uncond", "negative", "target_negative")  # what a gradient leads away from

# the same words as cameras.sampling.VIEW_NAMES; "" stands for any view
VIEW_WORDS = ("front", "side", "back", "overhead")


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """The target, and the words for good and bad pictures of it."""

    prompt: str  # the target, e.g. "a brick house"; not empty
    target_modifier: str = "sharp, detailed, high quality"  # appended to the target only; "" for none
    negative_descriptors: str = "blurry, oversaturated, pixelated, malformed"  # faults, comma-separated
    view_dependent: bool = True  # one text per view direction ("..., front view"); off for single images
    ready_made: bool = False  # the conditions are CONDITIONING of ComfyUI: the texts here say nothing about them
    # strength of Perp-Neg between the views; 0 = off, 1 = published. Needs view_dependent
    perp_neg: float = setting(0.0, at_least=0)
    source: str = ""  # the start of an edit, e.g. "a brick house"; "" if it is not described

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.prompt.strip():
            raise ValueError(f'prompt must say what to make, got {self.prompt!r}. Example: "a brick house".')
        if self.perp_neg > 0 and not self.view_dependent:
            raise ValueError("perp_neg tells views apart: turn view_dependent on, or set perp_neg to 0.")
        if self.prompt.strip() == self.source.strip():
            raise ValueError(
                f"The prompt and the source prompt are the same, {self.prompt!r}: there is nothing to change. "
                "Describe the scene before the edit in the source prompt, or leave it empty."
            )


def with_view(text: str, view: str) -> str:
    """`text`, then the view in words: "a house" and "front" give "a house, front view". View "" changes nothing."""
    return f"{text}, {view} view" if view else text


def with_modifier(text: str, modifier: str) -> str:
    """`text, modifier`, or `text` where the modifier is empty."""
    return f"{text}, {modifier.strip()}" if modifier.strip() else text


def target_negative_text(
    prompt: str,  # with its view words, without the target modifier
    descriptors: str,
) -> str:
    """TNP: the target together with its faults, "a house, front view, blurry, dark"."""
    return with_modifier(prompt, generic_negative_text(descriptors))


def generic_negative_text(descriptors: str) -> str:
    """GNP: the faults alone.

    Raises:
        ValueError: no descriptors; the negative would be the target itself (TNP) or nothing at all (GNP).
    """
    if not descriptors.strip():
        raise ValueError('negative_descriptors must name at least one fault, got "". Example: "blurry, dark".')
    return descriptors.strip()


def build_texts(
    config: PromptConfig,
    names: Sequence[str] = CONDITION_NAMES,  # which conditions to write
) -> dict[str, dict[str, str]]:
    """Texts by condition name and view.

    Every condition has the entry "" (any view); with `view_dependent`, those that hold the target
    also have one per view word. `uncond` and `negative` do not: a view word is target information.
    """
    unknown = [name for name in names if name not in CONDITION_NAMES]
    if unknown:
        raise ValueError(f"Unknown condition names {unknown}; known: {', '.join(CONDITION_NAMES)}.")
    prompt = config.prompt.strip()
    views = ("", *VIEW_WORDS) if config.view_dependent else ("",)
    texts: dict[str, dict[str, str]] = {}
    for name in names:
        if name == "target":
            texts[name] = {v: with_modifier(with_view(prompt, v), config.target_modifier) for v in views}
        elif name == "target_negative":
            texts[name] = {v: target_negative_text(with_view(prompt, v), config.negative_descriptors) for v in views}
        elif name == "negative":
            texts[name] = {"": generic_negative_text(config.negative_descriptors)}
        elif name == "source" and config.source.strip():
            # with the target's words of praise, so that the two differ only in the change
            source = config.source.strip()
            texts[name] = {v: with_modifier(with_view(source, v), config.target_modifier) for v in views}
        else:
            texts[name] = {"": ""}
    return texts
