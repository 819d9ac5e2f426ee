"""The way out of inference mode. ComfyUI runs every node inside it, and nothing can be optimised there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def optimization_mode() -> Iterator[None]:
    """Autograd works inside; tensors that come from other nodes still have to pass through `cloned`."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def cloned(value: Any) -> Any:
    """A copy of a tensor, or of a list, tuple or dict of them, that autograd accepts; other values as they are.

    Tensors of other nodes are inference tensors: autograd refuses to save them, and detaching does not help.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: cloned(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(cloned(v) for v in value)
    return value


def normal(tensor: torch.Tensor) -> torch.Tensor:
    """A detached tensor that autograd accepts, for one that nobody writes to any more: on the same memory, but for
    inference tensors of a class of their own that can be copied."""
    if is_opaque(tensor):
        found = tensor.clone() if tensor.is_inference() else torch.Tensor.detach(tensor)
        found = torch.Tensor.detach(tensor) if found is tensor else found
        vars(found).update({k: v for k, v in vars(tensor).items() if k not in vars(found)})
        return found
    if not tensor.is_inference():
        return tensor.detach()
    empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return empty.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())


def is_opaque(tensor: torch.Tensor) -> bool:
    """Whether a tensor is of a class that stands for other numbers than those it holds: quantised weights."""
    own = ("shape", "to", "detach", "clone", "dequantize")
    return any(getattr(type(tensor), name) is not getattr(torch.Tensor, name) for name in own)


def own_tensors(holder: object) -> None:
    """Replace the inference tensors that a plain object keeps as attributes, such as a latent format's mean."""
    for name, value in list(vars(holder).items()):
        if isinstance(value, torch.Tensor) and value.is_inference():
            setattr(holder, name, value.clone())
