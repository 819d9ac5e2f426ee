"""Guidance methods: from noise predictions to a gradient on the latents.

A method is a pure function of what it is given, with its hyperparameters in a frozen config. To add
one: a new file with a config dataclass and a class that satisfies `base.Guidance` and carries
`summary`, `equation`, `paper` and `evaluations` (noise predictions per view and step), and a line in
METHODS and CONFIGS. The command line and the nodes list what stands there.
"""

from __future__ import annotations

from typing import Any

from .base import Guidance, GuidanceInputs, GuidanceOutput, TrainingGuidance
from .bridge import Bridge, BridgeConfig
from .csd import CSD, CSDConfig
from .esd import ESD, ESDConfig
from .sds import SDS, SDSConfig
from .tbsd import TBSD, TBSDConfig
from .timesteps import TimestepConfig, sample_timesteps
from .vsd import VSD, VSDConfig
from .weighting import WEIGHTINGS

METHODS: dict[str, type] = {
    "sds": SDS,
    "csd": CSD,
    "bridge": Bridge,
    "tbsd": TBSD,
    "vsd": VSD,
    "esd": ESD,
}
CONFIGS: dict[str, type] = {
    "sds": SDSConfig,
    "csd": CSDConfig,
    "bridge": BridgeConfig,
    "tbsd": TBSDConfig,
    "vsd": VSDConfig,
    "esd": ESDConfig,
}


def default_config(name: str) -> Any:
    """A method's config with its defaults; `dataclasses.replace` makes variants."""
    _check_method(name)
    return CONFIGS[name]()


def build_guidance(
    name: str,
    config: Any = None,  # an instance of CONFIGS[name]; None for the defaults
) -> Guidance:
    """The method of that name.

    Raises:
        ValueError: no such method; lists the names.
        TypeError: the config belongs to another method.
    """
    _check_method(name)
    if config is not None and not isinstance(config, CONFIGS[name]):
        raise TypeError(f"Method {name!r} takes a {CONFIGS[name].__name__}, got {type(config).__name__}.")
    return METHODS[name](config)


def _check_method(name: str) -> None:
    if name not in METHODS:
        raise ValueError(f"Unknown method {name!r}; known methods: {', '.join(METHODS)}.")


__all__ = [
    "CONFIGS",
    "ESD",
    "CSD",
    "METHODS",
    "SDS",
    "TBSD",
    "VSD",
    "WEIGHTINGS",
    "Bridge",
    "BridgeConfig",
    "CSDConfig",
    "ESDConfig",
    "Guidance",
    "GuidanceInputs",
    "GuidanceOutput",
    "SDSConfig",
    "TBSDConfig",
    "TimestepConfig",
    "TrainingGuidance",
    "VSDConfig",
    "build_guidance",
    "default_config",
    "sample_timesteps",
]
