"""Perp-Neg's reading of a camera: which view prompts describe it, and which ones it must not look like.

Perp-Neg (arXiv:2304.04968, section 4) describes a view between front and side by an interpolation of the two
prompts, and moves away from both by weights that grow with the distance from them. The decays come from the authors and
of threestudio, f(r) = a exp(-b r) + c, with r the share of the nearer view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

OVERHEAD = 60.0  # degrees of elevation, as cameras.sampling.view_name
NEEDED_VIEWS = ("front", "side", "back", "overhead")


@dataclass(frozen=True)
class ViewMixture:
    """Weights by view name; only those that are not zero.

    Args:
        positive: shares of what the view should look like, adding up to 1.
        negative: how strongly it must not look like these, > 0.
    """

    positive: Mapping[str, float]
    negative: Mapping[str, float]

    @property
    def views(self) -> tuple[str, ...]:
        """Every view that must be evaluated."""
        return tuple(dict.fromkeys((*self.positive, *self.negative)))


def decay(a: float, b: float, c: float, r: float) -> float:
    """a exp(-b r) + c, at least 0."""
    return max(0.0, a * math.exp(-b * r) + c)


def view_mixture(azimuth: float, elevation: float) -> ViewMixture:
    """The views that a camera at `azimuth`, 0 = front, and `elevation`, both in degrees, sees."""
    if elevation >= OVERHEAD:
        return ViewMixture({"overhead": 1.0}, {})
    turned = abs((azimuth + 180) % 360 - 180)
    if turned < 90:
        r = 1 - turned / 90  # 1 is front, 0 is side
        positive = {"front": r, "side": 1 - r}
        negative = {"front": decay(4, 0.5, -2.426, r), "side": decay(4, 0.5, -2.426, 1 - r)}
    else:
        r = 2 - turned / 90  # 1 is side, 0 is back
        positive = {"side": r, "back": 1 - r}
        negative = {"side": decay(1, 0.5, -0.606, r), "front": decay(1, 0.5, 0.967, r)}
    return ViewMixture(
        {view: w for view, w in positive.items() if w > 0}, {view: w for view, w in negative.items() if w > 0}
    )
