"""Guidance methods: from noise predictions to a gradient on the latents.

A method is a pure function of its inputs, with its settings in a frozen config. To add one: a new file with a config
dataclass, a class that satisfies `base.Guidance`, and its `SPEC` (`spec.MethodSpec`), and a line in METHODS with the
file's name. Everything that lists methods (the command line, nodes, presets) reads the SPEC.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .base import (
    Guidance,
    GuidanceInputs,
    GuidanceOutput,
    PixelGuidance,
    TrainingGuidance,
    TrajectoryGuidance,
    all_conditions,
    has_source,
)
from .bridge import Bridge, BridgeConfig
from .spec import MethodSpec
from .tbsd import TBSDConfig
from .timesteps import TimestepConfig

METHODS: dict[str, MethodSpec] = {
    name: import_module(f".{name}", __name__).SPEC
    for name in (
        "sds",
        "csd",
        "bridge",
        "tbsd",
        "vsd",
        "esd",
        "nfsd",
        "bsd",
        "ism",
        "sdi",
        "hifa",
        "dds",
        "pds",
        "ssd",
        "tbsd_edit",
        "dvrf",
    )
}
EDITING = tuple(name for name, spec in METHODS.items() if spec.edits)  # they change a source


def find_method(name: str) -> MethodSpec:
    """The specification of the method of that name. Raises ValueError listing the names."""
    if name not in METHODS:
        raise ValueError(f"Unknown method {name!r}; known methods: {', '.join(METHODS)}.")
    return METHODS[name]


def method_of(guidance: Guidance) -> MethodSpec:
    """The specification of the method of a guidance."""
    return next(spec for spec in METHODS.values() if type(guidance) is spec.method)


def default_config(name: str) -> Any:
    """A method's config with its defaults; `dataclasses.replace` makes variants."""
    return find_method(name).config()


def build_guidance(
    name: str,
    config: Any = None,  # of METHODS[name].config; None for the defaults
) -> Guidance:
    """The method of that name.

    Raises:
        ValueError: no such method; lists the names.
        TypeError: the config belongs to another method.
    """
    spec = find_method(name)
    if config is not None and not isinstance(config, spec.config):
        raise TypeError(f"Method {name!r} takes a {spec.config.__name__}, got {type(config).__name__}.")
    return spec.method(config)


__all__ = [
    "EDITING",
    "METHODS",
    "Bridge",
    "BridgeConfig",
    "Guidance",
    "GuidanceInputs",
    "GuidanceOutput",
    "MethodSpec",
    "PixelGuidance",
    "TBSDConfig",
    "TimestepConfig",
    "TrainingGuidance",
    "TrajectoryGuidance",
    "all_conditions",
    "build_guidance",
    "default_config",
    "find_method",
    "has_source",
    "method_of",
]
