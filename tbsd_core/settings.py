"""The facts about a setting beside its value: its range, and its texts for people.

It stands on the field of a frozen dataclass, so that checks, widgets, the command line, presets and the tables of the
documentation cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Hint:
    """The facts about one setting.

    Args:
        tooltip: what it does, to a user; "" for a setting that no widget shows.
        meaning: the same on the command line, if that differs from the tooltip.
        above, at_least, at_most, below: its range; None for no bound. None as a value is always allowed where the
            field's type has it.
        choices: the values that it may have; a mapping gives them by the label that people see.
        widget: name of its widget, if that differs from the field's.
        low, high, step: of the widget, inside the range; None for the range itself.
        none: the widget's value that stands for None.
        shown, read: how the widget's value is made of the setting's, and the other way round.
        optional: whether workflows exist that were saved before the widget was.
    """

    tooltip: str = ""
    meaning: str = ""
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: Iterable[str] | Mapping[str, str] | None = None
    widget: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    none: float | None = None
    shown: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None
    optional: bool = False

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Least and greatest value of its widget; None if there is no bound."""
        return (
            next((n for n in (self.low, self.at_least, self.above) if n is not None), None),
            next((n for n in (self.high, self.at_most, self.below) if n is not None), None),
        )

    def of_widget(self, value: Any) -> Any:
        """The setting's value for a value of its widget."""
        if isinstance(self.choices, Mapping):
            return self.choices[value]
        if self.none is not None and value == self.none:
            return None
        return self.read(value) if self.read else value

    @property
    def values(self) -> tuple[str, ...]:
        """The values that `choices` allows, without labels."""
        choices = self.choices or ()
        return tuple(choices.values() if isinstance(choices, Mapping) else choices)


def setting(default: Any = MISSING, tooltip: str = "", *, make: Any = MISSING, **hint: Any) -> Any:
    """A dataclass field with a Hint; `make` is a factory of its default."""
    metadata = {"hint": Hint(tooltip=tooltip, **hint)}
    if make is not MISSING:
        return field(default_factory=make, metadata=metadata)
    return field(default=default, metadata=metadata)


def hint_of(entry: Field[Any]) -> Hint | None:
    """The hint of a field; None if it has none."""
    return entry.metadata.get("hint")


def check_settings(config: Any) -> None:
    """For `__post_init__`: raise ValueError, with name, range and value, for a setting outside its range."""
    for entry in fields(config):
        hint, value = hint_of(entry), getattr(config, entry.name)
        if hint is None or value is None:
            continue
        if not all(_inside(hint, part) for part in (value if isinstance(value, tuple) else (value,))):
            or_none = " or None" if entry.default is None else ""
            raise ValueError(f"{entry.name} must be {range_of(hint)}{or_none}, got {value!r}.")


def _inside(hint: Hint, value: Any) -> bool:
    if hint.choices is not None:
        return value in hint.values
    if not isinstance(value, (int, float)):
        return True
    return (  # written so that NaN is outside
        (hint.above is None or value > hint.above)
        and (hint.at_least is None or value >= hint.at_least)
        and (hint.at_most is None or value <= hint.at_most)
        and (hint.below is None or value < hint.below)
    )


def range_of(hint: Hint) -> str:
    """A range in words: "> 0", "in [0, 1]", "one of linear, sqrt"; "" if there is none."""
    if hint.choices is not None:
        return f"one of {', '.join(hint.values)}"
    # whole numbers in full, without the point of a float
    low, high = (
        None if n is None else int(n) if n == int(n) else n
        for n in (
            hint.at_least if hint.above is None else hint.above,
            hint.at_most if hint.below is None else hint.below,
        )
    )
    if low is not None and high is not None:
        return f"in {'(' if hint.above is not None else '['}{low}, {high}{')' if hint.below is not None else ']'}"
    if low is not None:
        return f"{'>' if hint.above is not None else '>='} {low}"
    return "" if high is None else f"{'<' if hint.below is not None else '<='} {high}"


def described(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Hint | None]]:
    """Every single setting of a configuration: dotted name, value, and hint."""
    for entry in fields(config):
        value = getattr(config, entry.name)
        if is_dataclass(value):
            yield from described(value, f"{prefix}{entry.name}.")
        else:
            yield f"{prefix}{entry.name}", value, hint_of(entry)


@dataclass(frozen=True)
class Setting:
    """A value of a preset, and where it is from: a paper, a measurement, or a reason."""

    value: float | int | str | tuple[float, ...] | None
    source: str


Settings = Mapping[str, Setting]
"""Values by dotted name of an ExperimentConfig ("guidance.guidance_scale", "optim.lr")."""

PUBLISHED, DEMO = "published", "demo"
"""Kinds of model families: those that are trained on pictures, and the demo model of this pack."""

Presets = Mapping[tuple[str, str], Settings]
"""Of a method or a scene: by (PUBLISHED or DEMO, and the other's name or "" for all); the particular entry wins."""


def preset_for(presets: Presets, kind: str, other: str) -> Settings:
    """The settings of one kind of family, together with one scene (of a method) or one method (of a scene)."""
    return {**presets.get((kind, ""), {}), **presets.get((kind, other), {})}
