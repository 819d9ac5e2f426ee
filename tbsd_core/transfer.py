"""Tensors on their way between the host and a device, without the host waiting for the device.

A copy that blocks waits for everything that the device was asked for before. So a step uploads few copies, which do not
block, uploads constants once, and leaves the wait for results to their readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

WITHOUT_DOUBLE = {"mps"}  # kinds of devices


def is_asynchronous(device: torch.device) -> bool:
    """Whether the host can go on while a device computes and copies, and ask later whether it is done."""
    if device.type in ("cpu", "mps"):  # Apple's copies that do not block are not ordered with its kernels
        return False
    return hasattr(getattr(torch, device.type, None), "Event")


def record_event(device: torch.device, timing: bool = False):
    """An event after all the work queued so far on a device for which `is_asynchronous` holds."""
    module = getattr(torch, device.type)
    event = module.Event(enable_timing=timing)
    event.record(module.current_stream(device))
    return event


def double_device(device: torch.device) -> torch.device:
    """Where numbers of a device can be float64: there, or on the CPU for a device without them."""
    return torch.device("cpu") if device.type in WITHOUT_DOUBLE else device


def to_device(x: Tensor, device: torch.device | str) -> Tensor:
    """`x` on a device; the host does not wait. A tensor on the host must not be changed afterwards."""
    target = torch.device(device)
    if x.device.type != "cpu" or not is_asynchronous(target):
        return x.to(target)
    return (x.pin_memory() if target.type == "cuda" else x).to(target, non_blocking=True)


def all_to_device(tensors: Sequence[Tensor], device: torch.device | str) -> list[Tensor]:
    """Several tensors of one dtype on a device, as one copy. For small ones: on the way they are side by side."""
    if torch.device(device).type == "cpu" or tensors[0].device.type != "cpu":
        return [x.to(device) for x in tensors]
    flat = to_device(torch.cat([x.flatten() for x in tensors]), device)
    parts = flat.split([x.numel() for x in tensors])
    return [part.view(x.shape) for part, x in zip(parts, tensors, strict=True)]


class Table:
    """A constant tensor, which goes to each device once."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self._copies: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device) -> Tensor:
        if device == self.values.device:
            return self.values
        if device not in self._copies:
            with torch.inference_mode(False):  # it stays for steps that need a gradient
                self._copies[device] = self.values.clone().to(device)
        return self._copies[device]


class Late:
    """Numbers on their way from a device to the host. Reading waits for them, and for nothing that came after.

    Args:
        numbers: [N], on any device.
    """

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers
        self._done: Any = None  # an event
        if is_asynchronous(numbers.device):
            host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=numbers.device.type == "cuda")
            self._numbers = host.copy_(numbers, non_blocking=True)
            self._done = record_event(numbers.device)
        self._read: list[float] | None = None

    @property
    def is_here(self) -> bool:
        """Whether reading needs no wait: always so on the CPU, and after a first reading."""
        return self._read is not None or (self._done is None and self._numbers.device.type == "cpu")

    def read(self) -> list[float]:
        found = self._read
        if found is None:
            if self._done is not None:
                self._done.synchronize()
            found = self._read = self._numbers.tolist()
        return found
