"""Steps whose gradient is not finite: they change nothing, and the host need not wait to know which they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..transfer import Late, is_asynchronous


def make_optimizer(kind: type[torch.optim.Optimizer], groups: Sequence[dict[str, Any]], **settings: Any) -> Any:
    """An optimiser, in its fused form where the parameters are on a device for which torch has one.

    It takes one kernel, needs no memory of its own, and can skip a step according to a tensor. (Apple's version ignores
    the tensor; on a CPU the host need not wait.)
    """
    first = next(iter(groups[0]["params"]))
    if is_asynchronous(first.device) and issubclass(kind, (torch.optim.Adam, torch.optim.AdamW)):
        try:
            return kind([dict(group) for group in groups], fused=True, **settings)
        except RuntimeError:  # which devices have it depends on the version of torch
            pass
    return kind(groups, **settings)


@torch.no_grad()
def not_finite(gradients: Iterable[Tensor | None], device: torch.device) -> Tensor:
    """1.0 where any number of the gradients is not finite, else 0.0: float32 [] on `device`."""
    present = [g for g in gradients if g is not None and g.numel()]
    if not present:
        return torch.zeros((), device=device)
    largest = torch.stack([n.float() for n in torch._foreach_norm(present, float("inf"))]).max()
    return (largest < float("inf")).logical_not().float().to(device, non_blocking=device.type != "cpu")


def step_unless(bad: Tensor, optimizers: Iterable[torch.optim.Optimizer]) -> None:
    """Step the optimisers unless `bad` [] is 1.0. Waits for it only if an optimiser cannot read it on its device.

    Optimisers follow the protocol of `torch.amp.GradScaler`: one whose `_step_supports_amp_scaling` is set does nothing
    if its `found_inf` is 1.0.
    """
    skip: bool | None = None
    for optimizer in optimizers:
        if bad.device.type != "cpu" and getattr(optimizer, "_step_supports_amp_scaling", False):
            optimizer.found_inf = bad  # type: ignore[attr-defined]
            try:
                optimizer.step()
            finally:
                del optimizer.found_inf  # type: ignore[attr-defined]
            continue
        skip = bool(bad) if skip is None else skip
        if not skip:
            optimizer.step()


class BadSteps:
    """How many steps in a row were skipped, as far as the device has said."""

    def __init__(self, n: int = 0) -> None:
        self._n = n
        self._open: deque[Late] = deque()

    def add(self, bad: Late) -> None:
        """The next step; the last number of `bad` is 1.0 where it was skipped."""
        self._open.append(bad)

    def settle(self, n_open: int = 0) -> int:
        """Skipped steps in a row up to all but the newest `n_open`, which are only read where that waits for nothing.

        Also returns 0 if no step was read, so that nothing is reported twice.
        """
        found = 0
        while self._open and (len(self._open) > n_open or self._open[0].is_here):
            self._n = self._n + 1 if self._open.popleft().read()[-1] else 0
            found = self._n
        return found

    @property
    def n(self) -> int:
        """With all steps; waits for the newest."""
        self.settle()
        return self._n
