"""Labels of experiments: short words that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    settings = [all_settings(config) for config in configs]
    names = [config.guidance_name for config in configs]
    labels: list[str] = []
    for name, own in zip(names, settings, strict=True):
        alike = [other for n, other in zip(names, settings, strict=True) if n == name]
        differing = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        label = " ".join([METHODS[name].label, *(_words(key.split(".")[-1], own[key]) for key in differing)])
        same = sum(known == label or known.startswith(f"{label} #") for known in labels)
        labels.append(f"{label} #{same + 1}" if same else label)
    return labels


def with_labels(entries: Sequence[Entry]) -> list[Entry]:
    """The entries under labels that tell them apart."""
    labels = labels_of([entry.config for entry in entries])
    return [replace(entry, label=label) for entry, label in zip(entries, labels, strict=True)]


def _words(name: str, value: Any) -> str:
    if isinstance(value, str) and (name, value) in WORDS:
        return WORDS[name, value]
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
