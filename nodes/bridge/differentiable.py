"""A forward of the host's network that is differentiated, whatever patches the MODEL carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .autograd import normal
from .compat import training

ATTENTION = "optimized_attention_override"  # of the transformer options
PATCHES = ("patches", "patches_replace")
WRITES_SLICES = "output_block_patch"  # as of FreeU V2: it writes into a part of an activation that it has read


@contextmanager
def differentiated(options: dict[str, Any]) -> Iterator[None]:
    """Inside, the forward of a network with these model options has a gradient."""
    patches = options.get("transformer_options", {}).get("patches", {})
    with training(), Owned(copies_slices=WRITES_SLICES in patches):
        yield


class Owned(TorchFunctionMode):
    """Gives operations normal tensors in place of inference tensors, on the same memory: those that patches bring along
    (masks, hypernetworks, control blocks) were made by other nodes, and autograd refuses to save them."""

    def __init__(self, copies_slices: bool) -> None:
        super().__init__()
        self.copies_slices = copies_slices

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        found = func(*_owned(args), **{name: _owned(value) for name, value in (kwargs or {}).items()})
        if self.copies_slices and func is Tensor.__getitem__ and isinstance(found, Tensor) and found.requires_grad:
            return found.clone()
        return found


def _owned(value: Any) -> Any:
    if type(value) in (Tensor, torch.nn.Parameter):
        if not value.is_inference():
            return value
        with torch._C.DisableTorchFunction():
            return normal(value)
    if type(value) in (list, tuple):
        return type(value)(map(_owned, value))
    return value


def with_gradient(options: dict[str, Any]) -> dict[str, Any]:
    """Transformer options with torch's own attention where a forward is differentiated: the faster ones that nodes and
    start flags choose (SageAttention, 8 bits) have no gradient."""
    if not torch.is_grad_enabled():
        return options
    return {**options, ATTENTION: lambda func, *args, **kwargs: attention_pytorch(*args, **kwargs)}


def advice(error: str, options: dict[str, Any]) -> str:
    """How to go on after no LoRA could be trained through a network with these model options."""
    given = options.get("transformer_options", {})
    named = sorted({name for kind in PATCHES for name in given.get(kind, {})})
    instead = "Or use a method that trains nothing, such as TBSD or SDS."
    if named and ("Inference tensors" in error or "inplace operation" in error):
        return f"Bypass the nodes that patch the MODEL ({', '.join(named)}). {instead}"
    if "not have been used" in error or "does not require grad" in error:
        return f"Start ComfyUI without a faster attention, and bypass nodes that choose one. {instead}"
    return f"Use the model in another format, or bypass the nodes that patch it. {instead}"
