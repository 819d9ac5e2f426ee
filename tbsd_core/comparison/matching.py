"""How many noise predictions a run costs, and how many steps of a method cost as much as another's."""

from __future__ import annotations

from ..guidance.base import Guidance
from ..optim.loop import REUSABLE


def count_evaluations(
    guidance: Guidance,
    n_steps: int,
    reuse_steps: int = 1,  # of optim.OptimConfig
) -> int:
    """Noise predictions per view in a whole run; a LoRA's predictions count, its training does not."""
    total = 0
    for step in range(n_steps):
        names = guidance.required(step / n_steps)
        kept = step % reuse_steps > 0  # predictions of an earlier step are taken again
        total += sum(not (kept and name in REUSABLE) for name in names)
    return total


def matched_steps(
    guidance: Guidance,
    budget: int,  # noise predictions per view, >= 1
    reuse_steps: int = 1,
) -> int:
    """The most steps whose whole run stays within a budget, at least 1.

    Methods that change what they evaluate on the way are asked at every length, since progress is step / steps.
    """
    low, high = 1, max(1, budget)
    while low < high:  # the cost grows with the number of steps
        middle = (low + high + 1) // 2
        if count_evaluations(guidance, middle, reuse_steps) <= budget:
            low = middle
        else:
            high = middle - 1
    return low
