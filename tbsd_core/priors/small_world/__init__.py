"""The small world: lit objects with ground truth, and two priors over it that need no download."""

from __future__ import annotations

from collections.abc import Callable

from ..base import TextPrior


def _learned(device: str) -> TextPrior:
    from .learned import load_learned_prior

    return load_learned_prior(device=device)


def _exact(device: str) -> TextPrior:
    from .exact import ExactPrior

    return ExactPrior(device=device)


PRIORS: dict[str, Callable[[str], TextPrior]] = {
    "learned": _learned,  # a miniature Stable Diffusion, trained on the world
    "exact": _exact,  # the closed-form score of its images
}


def load_prior(name: str, device: str = "cpu") -> TextPrior:
    """Build a demo model. Raises ValueError for an unknown name."""
    if name not in PRIORS:
        raise ValueError(f"Unknown prior {name!r}; choose one of {', '.join(PRIORS)}.")
    return PRIORS[name](device)


__all__ = ["PRIORS", "load_prior"]
