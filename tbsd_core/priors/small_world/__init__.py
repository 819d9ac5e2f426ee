"""The small world: lit objects with ground truth, and the priors over it that need no download."""

from __future__ import annotations

from collections.abc import Callable

from ..base import TextPrior

MULTIVIEW = "multiview"
VIEWS_PER_GROUP = 4  # of that prior


def _learned(device: str) -> TextPrior:
    from .learned import load_learned_prior

    return load_learned_prior(device=device)


def _multiview(device: str) -> TextPrior:
    from .learned import load_multiview_prior

    return load_multiview_prior(device=device)


def _exact(device: str) -> TextPrior:
    from .exact import ExactPrior

    return ExactPrior(device=device)


PRIORS: dict[str, Callable[[str], TextPrior]] = {
    "learned": _learned,  # a miniature Stable Diffusion, trained on the world
    MULTIVIEW: _multiview,  # the same, fine-tuned to see four views of an object at once
    "exact": _exact,  # the closed-form score of its images
}


def load_prior(name: str, device: str = "cpu") -> TextPrior:
    """Build a demo model. Raises ValueError for an unknown name."""
    if name not in PRIORS:
        raise ValueError(f"Unknown prior {name!r}; choose one of {', '.join(PRIORS)}.")
    return PRIORS[name](device)


__all__ = ["MULTIVIEW", "PRIORS", "VIEWS_PER_GROUP", "load_prior"]
