"""Labels of experiments: short words that tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from ..configuration import all_settings
from ..experiment import ExperimentConfig
from ..guidance import METHODS
from .entry import Entry

WORDS = {("negative", "target_negative"): "TNP", ("negative", "negative"): "GNP"}


def labels_of(configs: Sequence[ExperimentConfig]) -> list[str]:
    """The method of each, and the settings in which its experiments differ if it occurs more than once.

    Experiments that differ in no setting (prompts that were encoded elsewhere tell none) are numbered.
    """
    names = [METHODS[config.guidance_name].label for config in configs]
    return told_apart(names, [all_settings(config) for config in configs])


def told_apart(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels, no two of them the same: a name that occurs more than once is followed by the settings, by their dotted
    names, in which all that have it differ, and where they differ in none by a number."""
    labels: list[str] = []
    for name, own in zip(names, settings, strict=True):
        alike = [other for n, other in zip(names, settings, strict=True) if n == name]
        shared = [key for key in own if all(key in other for other in alike)]  # other methods have others
        differing = [key for key in shared if any(other[key] != own[key] for other in alike)]
        label = " ".join([name, *(_words(key.split(".")[-1], own[key]) for key in differing)])
        numbered = (f"{label} #{k}" for k in count(2))
        labels.append(label if label not in labels else next(text for text in numbered if text not in labels))
    return labels


def with_labels(entries: Sequence[Entry]) -> list[Entry]:
    """The entries under labels that tell them apart."""
    labels = labels_of([entry.config for entry in entries])
    return [replace(entry, label=label) for entry, label in zip(entries, labels, strict=True)]


def _words(name: str, value: Any) -> str:
    if isinstance(value, str) and (name, value) in WORDS:
        return WORDS[name, value]
    text = f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())  # prompts have lines
    return f"{name} {text}"
