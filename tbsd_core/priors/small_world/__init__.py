"""The small world: lit objects with ground truth, and two priors over it that need no download."""

from __future__ import annotations

from collections.abc import Callable

from ..base import TextPrior


def _learned() -> TextPrior:
    from .learned import load_learned_prior

    return load_learned_prior()


def _exact() -> TextPrior:
    from .exact import ExactPrior

    return ExactPrior()


PRIORS: dict[str, Callable[[], TextPrior]] = {
    "learned": _learned,  # a miniature Stable Diffusion, trained on the world
    "exact": _exact,  # the closed-form score of its images
}


def load_prior(name: str) -> TextPrior:
    """Build an embedded prior. Raises ValueError for an unknown name."""
    if name not in PRIORS:
        raise ValueError(f"Unknown prior {name!r}; choose one of {', '.join(PRIORS)}.")
    return PRIORS[name]()


__all__ = ["PRIORS", "load_prior"]
