"""Prompts: the texts of the named conditions, and the set of them once encoded.

Nothing here knows a text encoder: whoever has one passes it to `encode_texts`. To add a condition,
name it in `texts.CONDITION_NAMES`, write its text in `build_texts`, and say in `sets.HOW_TO_ADD`
what the user does to get it.
"""

from .sets import PromptSet, encode_texts
from .texts import (
    CONDITION_NAMES,
    VIEW_WORDS,
    PromptConfig,
    build_texts,
    generic_negative_text,
    target_negative_text,
    with_view,
)

__all__ = [
    "CONDITION_NAMES",
    "VIEW_WORDS",
    "PromptConfig",
    "PromptSet",
    "build_texts",
    "encode_texts",
    "generic_negative_text",
    "target_negative_text",
    "with_view",
]
