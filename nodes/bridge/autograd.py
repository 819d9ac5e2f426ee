"""The way out of inference mode. ComfyUI runs every node inside it, and nothing can be optimised there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")


@contextmanager
def optimization_mode() -> Iterator[None]:
    """Autograd works inside; tensors that come from other nodes still have to pass through `cloned`."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def cloned(value: T) -> T:
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


def own_weights(module: nn.Module) -> None:
    """Replace the inference tensors among a module's weights by normal ones, in place, and freeze all of them.

    Gradients that flow through a module save its weights. Loading on behalf of another node can
    turn weights back into inference tensors, so call this again after each load.
    """
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None and weight.is_inference():
                part._parameters[name] = nn.Parameter(weight.detach().clone(), requires_grad=False)
            elif weight is not None:
                weight.requires_grad_(False)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None and buffer.is_inference():
                part._buffers[name] = buffer.clone()


def own_tensors(holder: object) -> None:
    """The same for the tensors that a plain object keeps as attributes, such as a latent format's mean."""
    for name, value in list(vars(holder).items()):
        if isinstance(value, torch.Tensor) and value.is_inference():
            setattr(holder, name, value.clone())
