"""The checks of inputs that all nodes of the pack share, and their messages, before and during a run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

from .advanced import with_advanced
from .aliases import with_aliases

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
PLAIN_KINDS = ("LOAD3D_CAMERA",)  # the host's own, whose values are of plain data
PLAIN = (str, int, float, bool, dict)  # the values that a workflow file can hold in place of a connection


class Node(io.ComfyNode):
    """A node whose `execute` is called only with inputs of the declared kinds.

    The host compares the types of connections alone: values written into a workflow file reach a node as they are.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        schema = vars(cls).get("define_schema")
        if isinstance(schema, classmethod) and not hasattr(schema.__func__, "has_aliases"):

            @functools.wraps(schema.__func__)
            def define_schema(cls: type[Node]) -> io.Schema:
                return with_advanced(with_aliases(schema.__func__(cls)))

            define_schema.has_aliases = True  # type: ignore[attr-defined]
            cls.define_schema = classmethod(define_schema)
        own = vars(cls).get("execute")
        if not isinstance(own, classmethod) or hasattr(own.__func__, "is_checked"):
            return  # the host clones node classes

        @functools.wraps(own.__func__)
        def execute(cls: type[Node], **inputs: Any) -> io.NodeOutput:
            check_kinds(cls.define_schema().inputs, inputs)
            return own.__func__(cls, **inputs)

        execute.is_checked = True  # type: ignore[attr-defined]
        cls.execute = classmethod(execute)


def check_kinds(schema: list[io.Input], inputs: dict[str, Any]) -> None:
    """Raise ValueError for an input that its schema does not allow: the value, the expected ones, and how to fix it."""
    for entry in schema:
        value = inputs.get(entry.id)
        if entry.id not in inputs or (value is None and (entry.optional or entry.lazy)):
            continue
        kind = entry.get_io_type()
        if kind not in WIDGETS:
            is_plain = isinstance(value, PLAIN) and not (kind in PLAIN_KINDS and isinstance(value, dict))
            if value is None or is_plain:
                raise ValueError(
                    f"{entry.id} needs a connection of the type {kind}, got {short(value)}. Connect the output of a "
                    "node that has this type."
                )
        elif kind == "COMBO":
            if entry.options and value not in entry.options:
                raise ValueError(f"{entry.id} must be one of {', '.join(map(str, entry.options))}, got {short(value)}.")
        elif kind == "FLOAT" and not (isinstance(value, (int, float)) and math.isfinite(value)):
            raise ValueError(f"{entry.id} must be a finite number, got {short(value)}.")


def problem(node: type[io.ComfyNode], build: Callable[..., Any], **values: Any) -> bool | str:
    """For `validate_inputs`: True, or why widgets do not fit together, before anything runs.

    Args:
        build: called with the values; a ValueError or FileNotFoundError from it is the answer.
        values: of widgets by name; None if another node gives it, which is checked when that has run.
    """
    try:
        for entry in node.define_schema().inputs:  # the host skips its own checks of inputs that are named here
            low, high = getattr(entry, "min", None), getattr(entry, "max", None)
            value = values.get(entry.id)
            if isinstance(value, (int, float)) and (
                not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high)
            ):
                return f"{entry.id} must lie in [{low}, {high}], got {value}."
        if all(value is not None for value in values.values()):
            build(**values)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return True


def short(value: Any) -> str:
    """A value as a part of a sentence."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
