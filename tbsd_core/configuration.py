"""Frozen dataclass configurations as plain data, and single settings by dotted name."""

from __future__ import annotations

import ast
import json
import types
import typing
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


def to_plain(config: Any) -> dict[str, Any]:
    """A nested dataclass as JSON-ready plain data."""
    return asdict(config)


def from_plain(kind: type[T], stored: dict[str, Any]) -> T:
    """Rebuild a dataclass of type `kind`; absent fields take their defaults.

    Raises:
        ValueError: an unknown field, one without a default that is absent, or a value of the wrong kind; the message
            names the field.
    """
    if not isinstance(stored, dict):
        raise ValueError(f"{kind.__name__} must be an object of settings, got {type(stored).__name__}.")
    hints = typing.get_type_hints(kind)
    unknown = stored.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} has no setting {', '.join(sorted(unknown))}; it has {', '.join(hints)}.")
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}  # type: ignore
    if needed - stored.keys():
        raise ValueError(f"{kind.__name__} lacks {', '.join(sorted(needed - stored.keys()))}.")
    return kind(**{name: _convert(hints[name], value, name) for name, value in stored.items()})


def with_setting(config: T, dotted: str, text: str) -> T:
    """`config` with the field of a dotted name replaced, its value read from text.

    Raises:
        ValueError: there is no such field, or the text does not read as its type.
    """
    name, _, rest = dotted.partition(".")
    known = [f.name for f in fields(config)]  # type: ignore[arg-type]
    if name not in known:
        raise ValueError(f"There is no setting {name!r} in {type(config).__name__}; it has {', '.join(known)}.")
    value = getattr(config, name)
    if is_dataclass(value):
        if not rest:
            inner = ", ".join(f"{name}.{f.name}" for f in fields(value))
            raise ValueError(f"{name!r} is a group of settings; choose one of {inner}.")
        return replace(config, **{name: with_setting(value, rest, text)})  # type: ignore[type-var]
    if rest:
        raise ValueError(f"{name!r} is a single setting, so {dotted!r} does not exist.")
    hint = typing.get_type_hints(type(config))[name]
    return replace(config, **{name: _convert(hint, _read(hint, text), name)})  # type: ignore[type-var]


def replaced(config: T, dotted: str, value: Any) -> T:
    """`config` with the field of a dotted name replaced by a value of its type."""
    name, _, rest = dotted.partition(".")
    return replace(config, **{name: replaced(getattr(config, name), rest, value) if rest else value})  # type: ignore


def all_settings(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every setting by its dotted name."""
    out: dict[str, Any] = {}
    for f in fields(config):
        value = getattr(config, f.name)
        out |= all_settings(value, f"{prefix}{f.name}.") if is_dataclass(value) else {f"{prefix}{f.name}": value}
    return out


def differences(was: dict[str, Any], now: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Differences between two plain configurations, by dotted name: "was X, is Y"."""
    out: dict[str, str] = {}
    for name in [*was, *(n for n in now if n not in was)]:
        a, b = was.get(name, "nothing"), now.get(name, "nothing")
        if isinstance(a, dict) and isinstance(b, dict):
            out |= differences(a, b, f"{prefix}{name}.")
        elif json.dumps(a) != json.dumps(b):  # a tuple and its list in JSON are the same
            out[prefix + name] = f"was {a!r}, is {b!r}"
    return out


def _read(hint: Any, text: str) -> Any:
    """The value of a text: parsed if it is JSON (numbers, true, null, lists) or a literal of Python (.5, (33, 129),
    33,129), else the string itself."""
    if hint is str:
        return text
    for parse in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return parse(text)
    return text


def _convert(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return from_plain(hint, value)  # type: ignore[arg-type]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(o for o in options if o is not type(None)), value, name)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = typing.get_args(hint)
        if kinds[-1] is not Ellipsis and len(value) != len(kinds):
            raise ValueError(f"{name} must be {len(kinds)} values, got {len(value)}.")
        return tuple(_convert(kinds[0], v, name) for v in value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    wanted = getattr(hint, "__name__", str(hint))
    raise ValueError(f"{name} must be of type {wanted}, got {value!r}.")
