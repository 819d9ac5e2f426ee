"""Settings that several methods have: the same words and widgets, each with its own default."""

from __future__ import annotations

from typing import Any

from ..settings import setting
from .weighting import WEIGHTINGS

PULLS = "How hard the prompt pulls. Too low is blurry, too high is oversaturated."


def scale(default: float, words: str = PULLS, *, low: float = 0.1, **bound: float) -> Any:
    """The weight of the prompt's direction; `bound` is at_least or above, `low` the least that a widget goes to."""
    return setting(default, words, low=low, high=1000.0, step=0.5, **bound)


def texture_scale(default: float | None = None) -> Any:
    """The weight of a texture direction; None takes the guidance scale."""
    words = "How hard the texture direction pulls. {} uses the guidance scale."
    texts = {"tooltip": words.format(0), "meaning": words.format("null")}
    return setting(default, **texts, above=0.0, low=0.0, high=1000.0, step=0.5, none=0.0)


def part(default: float, tooltip: str, *, step: float = 0.01, **hint: Any) -> Any:
    """A number in [0, 1], most often a part of something; hints may narrow that."""
    return setting(default, tooltip, step=step, **({"at_least": 0.0, "at_most": 1.0} | hint))


def anchor(default: float) -> Any:
    """The weight of the residual (eps_uncond - noise)."""
    words = "Pull towards pictures that the model finds likely, whatever the prompt says. 0 leaves it out."
    return setting(default, words, at_least=0.0, high=10.0, step=0.1)


def weighting(default: str) -> Any:
    """A name in weighting.WEIGHTINGS."""
    words = (
        "How much a view counts by its timestep. sigma2 favours noisy timesteps, as in DreamFusion; velocity is for "
        "SD3, Flux and other flow models. No effect on pictures and with one view per step: the gradient of a step is "
        "divided by its own size."
    )
    return setting(default, words, choices=tuple(WEIGHTINGS))
