"""The methods and prompts of the quality benchmark, as literal tables, so that nothing is chosen after seeing
results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REFERENCE = "TBSD"  # the configuration that all others are compared with

TBSD_SCALE = "the guidance scale that TBSD's preset has"  # stands for that number in the table below
PLAIN = {"prompt.target_modifier": ""}  # without "sharp, detailed, high quality"


@dataclass(frozen=True)
class Configuration:
    """One row of the table: a method with its settings by dotted name; the rest is its preset."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    in_3d: bool = False  # 3D runs are long: only the method, its parts and its fair controls


CONFIGURATIONS: dict[str, Configuration] = {
    # the baseline as published, and what part of any gain is the scale alone or the words of praise alone
    "SDS 100": Configuration("sds", {"guidance.guidance_scale": 100.0, **PLAIN}, in_3d=True),
    "SDS s": Configuration("sds", {"guidance.guidance_scale": TBSD_SCALE, **PLAIN}),
    "SDS s, praise": Configuration("sds", {"guidance.guidance_scale": TBSD_SCALE}, in_3d=True),
    "CSD": Configuration("csd"),
    "GNP": Configuration("bridge", {"guidance.switch": 0.0, "guidance.negative": "negative"}),
    "TNP": Configuration("bridge", {"guidance.switch": 0.0, "guidance.negative": "target_negative"}, in_3d=True),
    "Bridge-GNP": Configuration("bridge", {"guidance.negative": "negative"}),
    "Bridge-TNP": Configuration("bridge", {"guidance.negative": "target_negative"}),
    REFERENCE: Configuration("tbsd", in_3d=True),
    "TBSD mgda": Configuration("tbsd", {"guidance.balancer": "mgda"}),
    "TBSD mgda_schedule": Configuration("tbsd", {"guidance.balancer": "mgda_schedule"}),
}

# Every object and every material is in both splits, in other pairs. The defaults of this program were chosen on
# the tuning split; numbers that are quoted should be of the held-out one.
SPLITS: dict[str, tuple[str, ...]] = {
    "tuning": (
        "a brick house",
        "a wooden torus",
        "a dotted mushroom",
        "a checkered cube",
        "a striped cone",
        "a marble crystal",
        "a brick sphere",
        "a wooden cylinder",
    ),
    "heldout": (
        "a wooden house",
        "a striped torus",
        "a brick mushroom",
        "a dotted cube",
        "a checkered cone",
        "a marble cylinder",
        "a striped sphere",
        "a wooden crystal",
    ),
}
PROMPTS_3D = 6  # the first of a split: each material once


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """How much is run of one kind of scene."""

    scene: str
    n_prompts: int
    seeds: tuple[int, ...]
    timestep_streams: tuple[int, ...]  # added to the seed; 0 is the seed's own stream
    n_steps: int


# 2D runs optimise latents, as the published ones do. All of it takes about 40 minutes on 2 idle cores.
DIMENSIONS: dict[str, Dimension] = {
    "2d": Dimension(scene="latent", n_prompts=8, seeds=(0, 1, 2, 3), timestep_streams=(0, 1000), n_steps=250),
    "3d": Dimension(scene="nerf", n_prompts=PROMPTS_3D, seeds=(0, 1), timestep_streams=(0,), n_steps=300),
}
QUICK = {"n_prompts": 1, "seeds": (0, 1), "timestep_streams": (0,), "n_steps": 60}
