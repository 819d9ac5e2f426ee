"""Recognises models that were distilled to a few steps.

Score distillation asks a model for its score at every noise level. A student of consistency, adversarial or
distribution matching distillation (arXiv:2310.04378, 2311.17042, 2402.13929) was trained at a few levels to jump to
where its teacher's whole trajectory ends, with the teacher's guidance in it: between those levels its prediction means
nothing, and at them it is not the score. A LoRA that is merged into weights leaves no trace in them, so names count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

WHY = (
    "Such a model gives no score between its steps, and score distillation needs one at every noise level. Use the "
    "model that it was made from, without a LoRA that makes it fast."
)
MAX_NAME = 40  # characters of a name in a sentence; panels show 300 of it

# in names of files and titles, the first that fits: what people call the model, and the words that say so
NAMES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("an LCM", r"(?-i:LCM|(?<![a-z])lcm(?![a-z]))|latent.?consistency"),
        ("a PCM or TCD model", r"(?<![a-z])(?:pcm|tcd)(?![a-z])"),
        ("a DMD model", r"(?<![a-z])dmd2?(?![a-z])"),
        ("Lightning", r"lightning"),
        ("a turbo model", r"turbo"),
        ("Flux schnell", r"schnell"),
        ("Hyper-SD", r"(?-i:Hyper|HYPER|(?<![a-z])hyper)(?-i:(?![a-z]))(?!.?real)"),
        ("Flash Diffusion", r"flash.?(?:sd|diffusion|pixart)"),
        ("a model of a few steps", r"(?<![a-z0-9])(?:[1-9]|1[0-6])[-_ ]?steps?(?![a-z])"),
    )
)
# of a diffusers pipeline: made for such models
SCHEDULERS = {"LCMScheduler": "an LCM", "TCDScheduler": "a TCD or Hyper-SD model"}
TRAILING = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")  # with this spacing: turbo, Lightning


def warning(what: str, kind: str) -> str:
    """The sentence for a model that seems to be distilled."""
    return f"{what} seems to be {kind}: distilled to a few steps, with guidance baked in. {WHY}"


def named_warning(names: Iterable[str]) -> str:
    """A warning about a model, by the names of its files and LoRAs or its title; "" if none of them tells."""
    for name in names:
        for kind, words in NAMES:
            if words.search(name):
                return warning(name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}...", kind)
    return ""


def network_refusal(what: str, network: Mapping[str, Any]) -> str:
    """Why a UNet cannot be used, by its configuration in a pipeline; "" if it can.

    The student of a guided LCM takes the guidance scale as an embedding beside the timestep (arXiv:2310.04378 Eq. 7).
    """
    if not network.get("time_cond_proj_dim"):
        return ""
    return f"{what} is not supported, because it is an LCM: its network takes a guidance scale as an input. {WHY}"


def scheduler_warning(scheduler: Mapping[str, Any]) -> str:
    """A warning about a pipeline, by the configuration of its scheduler; "" if that tells nothing."""
    name = scheduler.get("_class_name", "")
    if name in SCHEDULERS:
        return warning(f"A pipeline with the {name}", SCHEDULERS[name])
    if name in TRAILING and scheduler.get("timestep_spacing") == "trailing":
        return warning(f"A pipeline with the {name} and trailing timesteps", "a turbo model or Lightning")
    return ""
