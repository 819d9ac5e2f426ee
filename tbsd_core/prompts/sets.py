"""Encoded prompts, by condition name and view direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..priors.base import Condition
from .perp_neg import NEEDED_VIEWS
from .texts import CONDITION_NAMES

# what adds a condition that is missing: the node in ComfyUI, the setting elsewhere
HOW_TO_ADD = {
    "target": 'Encode a prompt with the node "Prompt Encode" (setting: prompt.prompt).',
    "uncond": 'Encode a prompt with the node "Prompt Encode": it also encodes the empty text.',
    "negative": 'Add GNP with the node "Target Negative Prompt" (setting: prompt.negative_descriptors).',
    "target_negative": 'Add TNP with the node "Target Negative Prompt" (setting: prompt.negative_descriptors).',
    "source": "Describe the scene before the edit in the source prompt of the guidance node (setting: prompt.source).",
}

# predictions about a source beside "source" itself, and the condition that each is made with (guidance/base.py)
SHARED = {"source_uncond": "uncond", "source_negative": "source"}


@dataclass(frozen=True)
class PromptSet:
    """Conditions that a guidance method may ask for.

    Args:
        conditions: one encoded prompt by condition name and view; each name has the entry "" (any view).
        texts: the texts they were encoded from, with the same keys (empty where there was no text).
        perp_neg: strength of Perp-Neg on the target's views, >= 0: 0 leaves it out, 1 is published.
    """

    conditions: Mapping[str, Mapping[str, Condition]]
    texts: Mapping[str, Mapping[str, str]]
    perp_neg: float = 0.0

    def __post_init__(self) -> None:
        if not self.perp_neg >= 0:
            raise ValueError(f"perp_neg must be >= 0, got {self.perp_neg}.")
        lacking = [view for view in NEEDED_VIEWS if view not in self.conditions.get("target", {})]
        if self.perp_neg > 0 and lacking:
            raise ValueError(
                f"Perp-Neg keeps the views of the target apart, but it has no {', '.join(lacking)} view. Turn "
                'view_dependent on (node "Prompt Encode", setting: prompt.view_dependent).'
            )
        for name, by_view in self.conditions.items():
            if name not in CONDITION_NAMES:
                raise ValueError(f"Unknown condition name {name!r}; known: {', '.join(CONDITION_NAMES)}.")
            if "" not in by_view:
                raise ValueError(f'Condition {name!r} needs an entry for "" (any view), got views {sorted(by_view)}.')

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.conditions)

    def select(self, name: str, views: Sequence[str]) -> list[Condition]:
        """One condition per sample: its view's condition, or the any-view one if the view has none. A name in SHARED
        stands for another condition.

        Raises:
            ValueError: the set lacks this condition; says what adds it.
        """
        name = SHARED.get(name, name)
        if name not in self.conditions:
            how = HOW_TO_ADD.get(name, f"Known conditions: {', '.join(CONDITION_NAMES)}.")
            raise ValueError(f"The prompts lack the condition {name!r} (they have {', '.join(self.names)}). {how}")
        by_view = self.conditions[name]
        return [by_view[view] if view in by_view else by_view[""] for view in views]

    def with_conditions(self, other: PromptSet) -> PromptSet:
        """This set with the conditions of another added; the other's win where both have one."""
        merged = {**self.conditions, **other.conditions}, {**self.texts, **other.texts}
        return PromptSet(*merged, perp_neg=self.perp_neg)


def encode_texts(
    texts: Mapping[str, Mapping[str, str]],  # by condition name and view, as build_texts writes them
    encode: Callable[[str], Condition],  # a text prior's encode_prompt, or ComfyUI's CLIP
    perp_neg: float = 0.0,  # see PromptSet
) -> PromptSet:
    """Encode every distinct text once."""
    distinct = dict.fromkeys(text for by_view in texts.values() for text in by_view.values())
    encoded = {text: encode(text) for text in distinct}
    conditions = {
        name: {view: encoded[text] for view, text in by_view.items()} for name, by_view in texts.items()
    }
    return PromptSet(conditions, {name: dict(by_view) for name, by_view in texts.items()}, perp_neg)
