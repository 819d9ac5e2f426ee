"""How much memory there is, how much something takes, and when it runs out."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .optional import require


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device's memory, or the machine's, was not enough."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def free_cached(device: torch.device) -> None:
    """Free the memory that torch keeps cached on a device."""
    if device.type != "cpu":
        getattr(torch, device.type).empty_cache()


def available_bytes(device: torch.device) -> int | None:
    """Free memory for more tensors on a device; None if it is unknown.

    On a CPU: the memory that the machine has left without swapping, or the rest of its container's limit.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    if device.type != "cpu":
        return None
    limits = [n for n in (_machine_bytes(), _container_bytes()) if n is not None]
    return min(limits, default=None)


def _machine_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):  # not Linux
        pass
    try:
        return int(require("psutil").virtual_memory().available)
    except ImportError:
        return None


def _container_bytes() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = next(
            int(line.split()[1])
            for line in (group / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file ")
        )
    except (OSError, StopIteration, ValueError):  # no container, or "max"
        return None
    return max(0, limit - used + cached)


class PeakBytes(TorchDispatchMode):
    """Inside, `peak` is the most memory that the tensors made since have taken at once, on any device.

    Views of older tensors, such as transposed weights, take nothing. The scratch memory of a single operation does not
    count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):  # older than this
                self._add(tensor.untyped_storage(), 0)
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._add(storage, storage.nbytes())
        return out

    def _add(self, storage: torch.UntypedStorage, size: int) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def in_words(n_bytes: float) -> str:
    """Bytes as "3.1 GiB" or "240 MiB"."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"
