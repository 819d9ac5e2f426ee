"""Guidance methods: from noise predictions to a gradient on the latents.

A method is a pure function of what it is given, with its hyperparameters in a frozen config. To add
one: a new file with a config dataclass and a class that satisfies `base.Guidance` and carries
`summary`, `equation`, `paper` and `evaluations` (noise predictions per view and step), and a line in
METHODS. The command line and the nodes list what stands there.
"""

from __future__ import annotations

from typing import Any

from .base import (
    Guidance,
    GuidanceInputs,
    GuidanceOutput,
    PixelGuidance,
    TrainingGuidance,
    Trajectory,
    TrajectoryGuidance,
    all_conditions,
    n_evaluations,
)
from .bridge import Bridge, BridgeConfig
from .bsd import BSD, BSDConfig
from .csd import CSD, CSDConfig
from .esd import ESD, ESDConfig
from .hifa import HiFA, HiFAConfig
from .ism import ISM, ISMConfig
from .nfsd import NFSD, NFSDConfig
from .sdi import SDI, SDIConfig
from .sds import SDS, SDSConfig
from .spec import MethodSpec
from .tbsd import TBSD, TBSDConfig
from .timesteps import TimestepConfig, sample_timesteps
from .vsd import VSD, VSDConfig
from .weighting import WEIGHTINGS

METHODS: dict[str, MethodSpec] = {
    name: MethodSpec(
        name=name,
        label=method.__name__,
        method=method,
        config=config,
        summary=method.summary,
        equation=method.equation,
        paper=method.paper,
        evaluations=method.evaluations,
        node_id="TBSD_Guidance" if name == "tbsd" else "",
    )
    for name, method, config in (
        ("sds", SDS, SDSConfig),
        ("csd", CSD, CSDConfig),
        ("bridge", Bridge, BridgeConfig),
        ("tbsd", TBSD, TBSDConfig),
        ("vsd", VSD, VSDConfig),
        ("esd", ESD, ESDConfig),
        ("nfsd", NFSD, NFSDConfig),
        ("bsd", BSD, BSDConfig),
        ("ism", ISM, ISMConfig),
        ("sdi", SDI, SDIConfig),
        ("hifa", HiFA, HiFAConfig),
    )
}

# methods of other names that are one of these with other settings: shown by `methods`, tested, and no code
PRESETS: dict[str, tuple[str, Any, str]] = {
    "sjc": (
        "sds",
        SDSConfig(guidance_scale=100.0, weighting="uniform"),
        "Score Jacobian Chaining with reduced variance (arXiv:2212.00774): SDS with equal weights of all timesteps",
    ),
}


def default_config(name: str) -> Any:
    """A method's config with its defaults; `dataclasses.replace` makes variants."""
    _check_method(name)
    return METHODS[name].config()


def build_guidance(
    name: str,
    config: Any = None,  # of METHODS[name].config; None for the defaults
) -> Guidance:
    """The method of that name.

    Raises:
        ValueError: no such method; lists the names.
        TypeError: the config belongs to another method.
    """
    _check_method(name)
    spec = METHODS[name]
    if config is not None and not isinstance(config, spec.config):
        raise TypeError(f"Method {name!r} takes a {spec.config.__name__}, got {type(config).__name__}.")
    return spec.method(config)


def _check_method(name: str) -> None:
    if name not in METHODS:
        raise ValueError(f"Unknown method {name!r}; known methods: {', '.join(METHODS)}.")


__all__ = [
    "BSD",
    "BSDConfig",
    "Bridge",
    "BridgeConfig",
    "CSD",
    "CSDConfig",
    "ESD",
    "ESDConfig",
    "Guidance",
    "GuidanceInputs",
    "GuidanceOutput",
    "HiFA",
    "HiFAConfig",
    "ISM",
    "ISMConfig",
    "METHODS",
    "MethodSpec",
    "PRESETS",
    "NFSD",
    "NFSDConfig",
    "PixelGuidance",
    "SDI",
    "SDIConfig",
    "SDS",
    "SDSConfig",
    "TBSD",
    "TBSDConfig",
    "TimestepConfig",
    "TrainingGuidance",
    "Trajectory",
    "TrajectoryGuidance",
    "VSD",
    "VSDConfig",
    "WEIGHTINGS",
    "all_conditions",
    "build_guidance",
    "default_config",
    "n_evaluations",
    "sample_timesteps",
]
