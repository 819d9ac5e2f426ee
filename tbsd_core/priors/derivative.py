"""Is a gradient true? One derivative by autograd against finite differences, in three evaluations.

For networks that somebody else holds in memory: weights that move between forward and backward give a finite
gradient of the right size and the wrong direction, which no other check sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SPAN = 0.3  # change of the output that is looked for, in units of its norm: far above rounding, almost linear
FINE, COARSE = 0.05, 0.35  # largest error of a true gradient; autoencoders show 1e-4 in float32, 0.07 in bfloat16


def tolerance(dtype: torch.dtype) -> float:
    """The error up to which a gradient counts as true, for a network that runs in `dtype`."""
    return FINE if torch.finfo(dtype).eps < 1e-5 else COARSE


def derivative_error(
    f: Callable[[Sequence[Tensor]], Tensor],
    inputs: Sequence[Tensor],  # at which it is taken; float32
    seed: int = 0,
) -> float:
    """Relative difference of the derivative of f along its own gradient from a central difference.

    The gradient is that of a random projection of f. A true one gives about 0, one of the same size in an
    unrelated direction about 1; infinite where it is zero or not finite.
    """
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    with torch.enable_grad():
        out = f(leaves)
        signs = torch.randint(0, 2, out.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        signs = signs.to(out.device, out.dtype)
        grads = torch.autograd.grad((out * signs).sum(), leaves)
    norm = float(torch.stack([g.double().pow(2).sum() for g in grads]).sum().sqrt())
    if not 0 < norm < float("inf"):
        return float("inf")
    step = SPAN * float(out.detach().double().norm()) / norm  # by which the projection changes by that part
    with torch.no_grad():
        ends = [
            float((f([x + side * step / norm * g for x, g in zip(leaves, grads, strict=True)]).double() * signs).sum())
            for side in (0.5, -0.5)
        ]
    difference = (ends[0] - ends[1]) / step
    return abs(difference - norm) / norm
