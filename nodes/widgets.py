"""Widgets made of the fields of the core's configurations, and configurations made of their values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from comfy_api.latest import io

from ..tbsd_core.settings import Hint, hint_of
from . import sockets

T = TypeVar("T")


def widgets(config: Any, only: Collection[str] = ()) -> list[io.Input]:
    """A widget for each setting that has a tooltip, with its value in `config` as default: first the widgets of the
    first release, then later ones. Groups inside are opened.

    Args:
        only: names of the widgets to make; all if empty.
    """
    made = [(hint, _widget(name, value, hint)) for name, value, hint in _shown(config) if not only or name in only]
    return [w for hint, w in sorted(made, key=lambda entry: entry[0].optional)]


def with_widgets(config: T, values: Mapping[str, Any]) -> T:
    """`config` with the settings whose widgets are among `values`. Raises ValueError for one outside its range."""
    changes: dict[str, Any] = {}
    for entry in fields(config):  # type: ignore[arg-type]
        value, hint = getattr(config, entry.name), hint_of(entry)
        if is_dataclass(value):
            changes[entry.name] = with_widgets(value, values)
        elif hint is not None and (hint.widget or entry.name) in values:
            changes[entry.name] = hint.of_widget(values[hint.widget or entry.name])
    return replace(config, **changes)  # type: ignore[type-var]


def _shown(config: Any) -> list[tuple[str, Any, Hint]]:
    found = []
    for entry in fields(config):
        value, hint = getattr(config, entry.name), hint_of(entry)
        if is_dataclass(value):
            found += _shown(value)
        elif hint is not None and hint.tooltip:
            found.append((hint.widget or entry.name, value, hint))
    return found


def _widget(name: str, value: Any, hint: Hint) -> io.Input:
    if name == "seed":  # it can be drawn anew after each run
        return sockets.seed_input(hint.tooltip)
    shared: dict[str, Any] = {"optional": True} if hint.optional else {}
    shared["tooltip"] = hint.tooltip
    if hint.choices is not None:
        labels = hint.choices if isinstance(hint.choices, Mapping) else {v: v for v in hint.choices}
        default = next(label for label, v in labels.items() if v == value)
        return io.Combo.Input(name, options=list(labels), default=default, **shared)
    value = hint.none if value is None else hint.shown(value) if hint.shown else value
    if isinstance(value, bool):
        return io.Boolean.Input(name, default=value, **shared)
    if isinstance(value, str):
        return io.String.Input(name, default=value, **shared)
    low, high = hint.ends
    kind, made = (int, io.Int.Input) if isinstance(value, int) else (float, io.Float.Input)
    numbers = {n: None if v is None else kind(v) for n, v in (("min", low), ("max", high), ("step", hint.step))}
    exact = {"round": False} if kind is float else {}
    return made(name, default=value, **numbers, **exact, **shared)

