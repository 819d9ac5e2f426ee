"""Whether a run of a real model fits a card of so many GB, from counts alone."""

from __future__ import annotations

from dataclasses import dataclass

from ..experiment.needs import Needs
from ..experiment.plan import SHARE, Fit, fitted
from .meta import Counts

CONTEXT = 0.6 * 2**30  # bytes that CUDA and its libraries keep (ours)


@dataclass(frozen=True)
class CardPlan:
    """The way a step runs on a card.

    Args:
        offloaded: bytes of the network's weights that stay in the machine's memory, and are copied to the card in every
            forward: ComfyUI does that automatically.
        taken: bytes of the card: its context, weights, and a step at its peak.
    """

    fit: Fit
    offloaded: float
    taken: float

    @property
    def text(self) -> str:
        """The plan in words."""
        fit = self.fit
        measures = [f"{fit.view_chunk} at a time" if fit.view_chunk else "all views at once"]
        if fit.recompute:
            measures.append("encoder twice")
        if fit.halvings:
            measures.append(f"rays in {2**fit.halvings} pieces")
        if self.offloaded:
            measures.append(f"{self.offloaded / 2**30:.1f} GiB of the network outside")
        return ", ".join(measures)


def on_card(needs: Needs, counts: Counts, n_views: int, gb: float, can_shrink: bool = True) -> CardPlan | None:
    """The plan of a step on a card of `gb` GB, with text encoders in the machine's memory, as ComfyUI has them. None if
    the step does not fit even with the network there, whose layers then arrive one by one."""
    room = gb * 2**30 - CONTEXT - counts.autoencoder
    fit = fitted(needs, n_views, SHARE * (room - counts.network), can_shrink)
    missing = max(0.0, fit.estimated / SHARE - (room - counts.network))
    if missing > counts.network:
        return None
    return CardPlan(fit, missing, gb * 2**30 - room + counts.network - missing + fit.estimated)
