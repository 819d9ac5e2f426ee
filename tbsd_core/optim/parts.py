"""The views of a step a few at a time: the same gradient in the memory of some of them.

A method may need all views before it judges one (it divides the gradient by a norm over all), and a scene's penalties
cover the whole render. So every part is first seen without a gradient. The loss is differentiated with respect to these
results, as if they were parameters. Then each part is seen again, with a gradient, and its share of the loss's gradient
goes back to the scene. That costs one more render and encoding, and no graph holds more than a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..scenes.base import RenderOutput


@dataclass(frozen=True)
class Seen:
    """Some views of a scene: their render, the pictures [B, 3, H, W] that were encoded, and their latents.

    `images` is None if latents are the scene, or come without the encoder.
    """

    render: RenderOutput
    images: Tensor | None
    latents: Tensor


See = Callable[[slice], Seen]
PER_VIEW = ("rgb", "opacity", "depth", "normal", "latents")  # of a RenderOutput; its penalties are means over views


def parts_of(n: int, at_once: int) -> list[slice]:
    """Rows 0 to n - 1 in slices of `at_once`; 0 for one slice."""
    step = at_once or n
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def some_of(render: RenderOutput, rows: slice) -> RenderOutput:
    """Some of the views of a render that has no penalties."""
    return _render({k: v[rows] for k in PER_VIEW if (v := getattr(render, k)) is not None}, {})


@torch.no_grad()
def seen_in_parts(see: See, parts: Sequence[slice]) -> Seen:
    """All views without a graph, in tensors that gather a gradient of their own."""
    n = parts[-1].stop
    whole: dict[str, Tensor] = {}
    same: dict[str, str] = {}  # names of one tensor
    penalties: dict[str, Tensor] = {}
    for rows in parts:
        seen = see(rows)
        found = _tensors(seen)
        same = {k: next(name for name, other in found.items() if other is v) for k, v in found.items()}
        for name in same.values():
            value = found[name]
            if name not in whole:
                whole[name] = value.new_empty(n, *value.shape[1:])
            whole[name][rows] = value
        for name, value in seen.render.penalties.items():
            penalties[name] = penalties.get(name, 0.0) + value * _share(rows, n)
        del seen, found
    for value in (*whole.values(), *penalties.values()):
        value.requires_grad_()
    told = {name: whole[first] for name, first in same.items()}
    render = _render({k: told[f"render.{k}"] for k in PER_VIEW if f"render.{k}" in told}, penalties)
    return Seen(render, told.get("images"), told["latents"])


def pull_back(see: See, parts: Sequence[slice], whole: Seen) -> None:
    """Add to the parameters' gradients their share of the gradients of `whole`, which `seen_in_parts` made."""
    n, total = parts[-1].stop, _tensors(whole)
    for rows in parts:
        seen = see(rows)
        found = _tensors(seen)
        pairs = {id(v): (found[k], None if v.grad is None else v.grad[rows]) for k, v in total.items()}
        for name, value in whole.render.penalties.items():
            grad = None if value.grad is None else value.grad * _share(rows, n)
            pairs[id(value)] = seen.render.penalties[name], grad
        wanted = [(v, grad) for v, grad in pairs.values() if grad is not None and v.requires_grad]
        torch.autograd.backward([v for v, _ in wanted], [grad for _, grad in wanted])
        del seen, found, pairs, wanted


def _render(named: dict[str, Tensor], penalties: Mapping[str, Tensor]) -> RenderOutput:
    """The render of some tensors by the names of PER_VIEW."""
    normal, latents = named.get("normal"), named.get("latents")
    return RenderOutput(named["rgb"], named["opacity"], named["depth"], normal, latents, penalties)


def _tensors(seen: Seen) -> dict[str, Tensor]:
    named = {f"render.{k}": getattr(seen.render, k) for k in PER_VIEW}
    named |= {"images": seen.images, "latents": seen.latents}
    return {name: value for name, value in named.items() if value is not None}


def _share(rows: slice, n: int) -> float:
    return (rows.stop - rows.start) / n
