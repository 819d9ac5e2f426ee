"""Is a gradient true? One derivative by autograd against finite differences, in three evaluations.

For networks that somebody else holds in memory: weights that move between forward and backward give a finite
gradient of the right size and the wrong direction, which no other check sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Accuracy:
    """How a derivative is looked for in arithmetic of some precision.

    Args:
        spans: changes of the output, in units of its norm, until one agrees: large ones are above rounding, in small
            ones a network is linear.
        tolerance: error up to which a gradient counts as true; one of the same size in a random direction has about 1.
    """

    spans: Sequence[float]
    tolerance: float


# largest errors seen, random weights: autoencoders 1e-4 and 0.07, UNets 1e-3 and 0.08, transformers 7e-3 and 0.14
FLOAT32, HALF = Accuracy((0.1, 0.01, 0.001), 0.05), Accuracy((1.0, 0.3, 0.1), 0.4)


def accuracy(dtype: torch.dtype) -> Accuracy:
    """The test for a network that runs in `dtype`."""
    return FLOAT32 if torch.finfo(dtype).eps < 1e-5 else HALF


def derivative_error(
    f: Callable[[Sequence[Tensor]], Tensor],
    inputs: Sequence[Tensor],  # at which it is taken; float32
    asked: Accuracy = FLOAT32,
    seed: int = 0,
) -> float:
    """Relative difference of the derivative of f along its own gradient from a central difference.

    It takes the gradient of a random projection of f. A true one gives about 0, one of the same size in an unrelated
    direction about 1; infinite if it is zero or not finite. Returns the smallest over the spans that were needed. It
    cannot see that a gradient lacks a part and is true in the rest.
    """
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    with torch.enable_grad():
        out = f(leaves)
        signs = torch.randint(0, 2, out.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        grads = torch.autograd.grad((out * signs.to(out.device, out.dtype)).sum(), leaves)
    norm = float(torch.stack([g.float().pow(2).sum() for g in grads]).sum().sqrt())
    if not 0 < norm < float("inf"):
        return float("inf")

    @torch.no_grad()
    def error(span: float) -> float:
        step = span * float(out.cpu().double().norm()) / norm  # by which the projection changes by that part
        moved = [[x + side * step / norm * g for x, g in zip(leaves, grads, strict=True)] for side in (0.5, -0.5)]
        ends = [float((f(x).cpu().double() * signs).sum()) for x in moved]
        return abs((ends[0] - ends[1]) / step - norm) / norm

    found = float("inf")
    for span in asked.spans:
        found = min(found, error(span))
        if found <= asked.tolerance:
            break
    return found
