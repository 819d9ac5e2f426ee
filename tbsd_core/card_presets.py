"""The settings that a preset changes for a card of little memory.

They are few. On a small card views go through one by one, backward recomputes the encoder, and rays come in pieces, all
automatically and with the same result (experiment.plan). A preset changes a field, samples or views only if that is not
enough, or costs more than it is worth; `python -m benchmarks.real_models` has the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from .settings import Setting, Settings

MEMORIES = (6, 8, 12, 16, 24)  # GB of the cards that have plans; a larger card gets the last
ENOUGH = 0.93  # share of a plan's memory: drivers keep some, so a card of 12 GB reports 11.6
THREE_D = ("nerf", "gaussian", "mesh_texture")
PICTURES = ("image", "latent")


@dataclass(frozen=True)
class Rule:
    """Settings for cards of at most `most` GB."""

    most: int
    families: tuple[str, ...]
    scenes: tuple[str, ...]
    settings: Settings


SMALLER = "ours: three quarters of the size it was trained at; its encoder takes 0.56 of the memory"
COPIED = "ours: the part of the network that does not fit on the card is copied to it for each view"
FEWER_POINTS = "ours: 0.65 GiB with its gradient and Adam's moments, instead of 1.5"

RULES = (
    Rule(8, ("sdxl",), PICTURES, {"optim.size": Setting(768, SMALLER)}),
    Rule(8, ("sdxl",), THREE_D, {"optim.encode_size": Setting(768, SMALLER)}),
    Rule(8, ("sdxl", "sd3"), THREE_D, {"optim.views_per_step": Setting(2, COPIED)}),
    Rule(16, ("flux",), PICTURES, {"optim.size": Setting(768, SMALLER)}),
    Rule(16, ("flux",), THREE_D, {"optim.encode_size": Setting(768, SMALLER)}),
    Rule(24, ("flux",), THREE_D, {"optim.views_per_step": Setting(2, COPIED)}),
    Rule(
        8,
        ("sd15", "sd21_base", "sd21_v", "sdxl", "sd3"),
        ("mesh_texture",),
        {"scene.resolutions": Setting((49, 193), FEWER_POINTS)},
    ),
)


def of_card(family: str, scene: str, memory: int | None) -> dict[str, Setting]:
    """The changes to the preset of a family and scene on a card of so many GB; None means a card with enough memory.

    Raises:
        ValueError: no plan for so many GB.
    """
    if memory is not None and memory not in MEMORIES:
        raise ValueError(f"There are presets for cards of {', '.join(map(str, MEMORIES))} GB, got {memory}.")
    changed: dict[str, Setting] = {}
    for rule in RULES:
        if memory is not None and memory <= rule.most and family in rule.families and scene in rule.scenes:
            changed |= rule.settings
    return changed


def nearest_memory(n_bytes: float) -> int:
    """The plan in GB for a card with so many bytes in all; the smallest plan for a card below all of them."""
    return max((gb for gb in MEMORIES if ENOUGH * gb * 2**30 <= n_bytes), default=MEMORIES[0])
