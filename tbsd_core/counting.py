"""The cost of a piece of code, counted while it runs: bytes at its peak, and floating-point operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from .memory import PeakBytes

T = TypeVar("T")


@dataclass(frozen=True)
class Amount:
    """Bytes at the peak, bytes held between forward and backward, and the operations of both."""

    bytes: float = 0.0
    held: float = 0.0
    flops: float = 0.0

    def of_one(self, n: int) -> Amount:
        """The share of one sample among n that were counted together."""
        return Amount(self.bytes / n, self.held / n, self.flops / n)


class Flops(TorchDispatchMode):
    """Inside, `total` counts matrix products, convolutions and attention, a multiplication and an addition as two.

    It uses torch's formulas but not its FlopCounterMode, which hooks every module of the process to tell them apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _attention_on_cpu(query: Any, key: Any, value: Any, *rest: Any, **named: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


# torch has no formula for attention on a CPU without a gradient
FORMULAS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_on_cpu, **flop_registry}


def counted(forward: Callable[[], T], backward: Callable[[T], object] = lambda result: None) -> Amount:
    """The cost of two pieces of code in sequence: the result of the first is held for the second, then dropped."""
    with Flops() as operations, PeakBytes() as memory:
        result = forward()
        held = memory.now
        backward(result)
    return Amount(memory.peak, held, operations.total)
