"""A user's own values in place of some of a preset's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .configuration import all_settings, with_setting
from .presets import with_settings
from .settings import Setting, Settings

YOURS = "yours"  # the source of such a value
SEPARATORS = re.compile(r"[;\n]")


def changed(
    found: Settings,
    groups: Mapping[str, Any],  # by the first part of a setting's name: the configuration that it is a part of
    text: str,  # "optim.lr=0.005; scene.tv_weight=0.05", or one a line
    widgets: Mapping[str, str] | None = None,  # settings that a node of ComfyUI has, and that node
) -> dict[str, Setting]:
    """The settings of a preset with those that a text names in their place, or added.

    Raises:
        ValueError: an entry that is not name=value, or whose name or value is not possible.
    """
    new = dict(found)
    for entry in filter(None, (part.strip() for part in SEPARATORS.split(text))):
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not equals:
            raise ValueError(f"A change must be name=value, such as optim.lr=0.005, got {entry!r}.")
        if name in (widgets or {}):
            raise ValueError(f"{name} is not part of a preset here: set it on {(widgets or {})[name]}.")
        group, _, rest = name.partition(".")
        if group not in groups:
            known = ", ".join(f"{each}." for each in groups)
            raise ValueError(f"A change must begin with a group of settings ({known}), got {entry!r}.")
        config = with_settings(groups[group], group, new)
        try:
            value = all_settings(with_setting(config, rest, value))[rest]
        except ValueError as error:
            raise ValueError(f"{entry!r}: {error}") from error
        new[name] = Setting(value, YOURS)
    return new
