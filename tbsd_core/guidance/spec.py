"""The facts about a method. Everything that lists, documents, configures or shows methods reads them here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..settings import Presets
from .base import Guidance, has_source


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """One method.

    Args:
        name: in files, on the command line and in tables.
        label: in titles, and in the name of the node: "SDS".
        method: makes the method from its configuration (None: the defaults).
        config: its frozen dataclass; ranges, words and widgets stand on the fields (settings.setting).
        summary: a line of a list. equation, paper: as they are quoted.
        evaluations: noise predictions per view and step, in words.
        description: what the node is for, to a user.
        prompts: the tooltip of the node's prompts input: which negative it needs.
        presets: the settings a run begins with, by kind of model family and scene.
        variants: other names for this method with another configuration: the configuration, and a summary.
        node_id: the id of its node, if it does not follow from the label; never changes.
        flow_only: whether it is defined for flow models alone.
    """

    name: str
    label: str
    method: Callable[[Any], Guidance]
    config: type
    summary: str
    equation: str
    paper: str
    evaluations: str
    description: str = ""
    prompts: str = ""
    presets: Presets = field(default_factory=dict)
    variants: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    node_id: str = ""
    flow_only: bool = False

    @property
    def node(self) -> str:
        """The id of its node."""
        return self.node_id or f"TBSD_{self.label}Guidance"

    @property
    def edits(self) -> bool:
        """Whether it edits a source and compares with it."""
        return has_source(self.method(None))
