"""ComfyUI's dynamic VRAM (comfy-aimdo) without a GPU: its native calls are replaced, the host's code is as it is.

Weights live in pages of CPU memory that the pretend device shows. `limit` bytes of them may be resident: a fault pins
an allocation and evicts unpinned ones of other models, oldest first. Evicted pages are filled with NaN; the real one
unmaps them. If nothing can be evicted, the weight is streamed: ComfyUI casts it into a buffer that the layer after next
uses again, as it does with the two offload streams that it has on NVIDIA.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import device
import torch

clock = itertools.count(1)
vbars: list[VBAR] = []
limit = float("inf")
counts = {"faults": 0, "evicted": 0, "streamed": 0}


class Page:
    def __init__(self, size: int) -> None:
        self.memory = torch.empty(size, dtype=torch.uint8)
        self.size, self.is_resident, self.pins, self.used, self.signature = size, False, 0, 0, 0

    def evict(self) -> int:
        self.is_resident = False
        poison(self.memory)
        counts["evicted"] += 1
        return self.size


class VBAR:
    """The pages of one model on one device."""

    def __init__(self, size: int, index: int | None) -> None:
        self.pages: list[Page] = []
        self.rank = next(clock)
        vbars.append(self)

    def alloc(self, n: int) -> tuple[VBAR, int, int]:
        self.pages.append(Page(int(n)))
        return self, len(self.pages) - 1, int(n)

    def prioritize(self, *arguments: Any) -> None:
        self.rank = next(clock)

    def deprioritize(self) -> None:
        self.rank = 0

    def loaded_size(self) -> int:
        return sum(page.size for page in self.pages if page.is_resident)

    def free_memory(self, n: float) -> int:
        freed = 0
        for page in sorted(self.pages, key=lambda page: page.used):
            if freed >= n:
                break
            if page.is_resident and not page.pins:
                freed += page.evict()
        return freed

    def set_watermark(self, *arguments: Any) -> None: ...

    set_watermark_limit = set_watermark

    def get_watermark(self) -> int:
        return 0


class HostBuffer:
    """Pinned memory, of which the rehearsal has none."""

    def __init__(self, size: int = 0, *arguments: Any, **options: Any) -> None:
        self.size = int(size)

    def truncate(self, size: int, do_unregister: bool = True) -> None:
        self.size = int(size)


class CastBuffer:
    """The buffers that layers cast streamed weights into, over and over."""

    def __init__(self, max_size: int, index: int | None) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)

    def size(self) -> int:
        return self.memory.numel()

    def get(self, size: int, offset: int = 0) -> tuple[CastBuffer, int, int]:
        if offset + size > self.memory.numel():
            grown = torch.empty(int((offset + size) * 2), dtype=torch.uint8)
            grown[: self.memory.numel()] = self.memory
            self.memory = grown
        return self, offset, size


class Stream:
    def wait_stream(self, other: Any) -> None: ...

    def synchronize(self) -> None: ...

    def as_context(self, stream: Stream):
        return contextlib.nullcontext()


def poison(memory: torch.Tensor) -> None:
    """NaN in every format of floats."""
    memory.view(torch.uint8).fill_(255)


def evict_all() -> None:
    for vbar in vbars:
        vbar.free_memory(float("inf"))


def resident() -> int:
    return sum(vbar.loaded_size() for vbar in vbars)


def fault(allocation: tuple[VBAR, int, int]) -> list[int] | None:
    vbar, key, _ = allocation
    page = vbar.pages[key]
    page.used = next(clock)
    counts["faults"] += 1
    if not page.is_resident:
        need = resident() + page.size - limit
        for other in sorted(vbars, key=lambda v: v.rank):
            if need > 0 and other is not vbar and other.rank <= vbar.rank:  # a model does not evict itself
                need -= other.free_memory(need)
        if need > 0:
            counts["streamed"] += 1
            return None
        page.is_resident, page.signature = True, next(clock)
    page.pins += 1
    return [page.signature]


def unpin(allocation: tuple[VBAR, int, int] | None) -> None:
    if allocation is not None:
        page = allocation[0].pages[allocation[1]]
        page.pins = max(0, page.pins - 1)


def to_tensor(allocation: tuple, where: torch.device) -> torch.Tensor:
    owner, at, size = allocation
    memory = owner.pages[at].memory if isinstance(owner, VBAR) else owner.memory[at : at + size]
    with torch.inference_mode(False):
        return device.PretendTensor(memory.view(-1)[:size])


def install() -> None:
    """Once in a process, after the pretend device and before comfy."""
    import comfy_aimdo.control as control
    import comfy_aimdo.host_buffer as host_buffer
    import comfy_aimdo.model_vbar as model_vbar
    import comfy_aimdo.torch as aimdo_torch
    import comfy_aimdo.vram_buffer as vram_buffer

    control.init = control.init_devices = lambda *a, **k: True
    control.get_total_vram_usage = resident
    model_vbar.ModelVBAR, model_vbar.vbar_fault, model_vbar.vbar_unpin = VBAR, fault, unpin
    model_vbar.vbar_signature_compare = lambda a, b: a is not None and b is not None and a == b
    model_vbar.vbars_analyze = lambda *a: resident()
    model_vbar.vbars_reset_watermark_limits = lambda: None
    host_buffer.HostBuffer, vram_buffer.VRAMBuffer, aimdo_torch.aimdo_to_tensor = HostBuffer, CastBuffer, to_tensor
    own = device.Module.mem_get_info
    device.Module.mem_get_info = lambda self, where=None: (own(self, where)[0] - resident(), own(self, where)[1])


def use_streams() -> None:
    """Offload streams as on NVIDIA and no pinned memory; once comfy.model_management is imported."""
    import comfy.model_management as management
    from comfy.cli_args import args

    args.disable_pinned_memory = True
    management.MAX_PINNED_MEMORY = -1
    streams, turn = [Stream(), Stream()], itertools.count()
    management.get_offload_stream = lambda where: streams[next(turn) % 2]
