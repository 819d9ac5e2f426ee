"""The sides of the conditions of a forward, as attention patches know them: 0 = positive, 1 = negative.

ComfyUI counts the conditions of a call, and a sampler's first is the positive one. A step may ask for the empty prompt
alone, or for three conditions: patches such as IP-Adapter's would show their picture to the wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence

from .control import added_out_of_place
from .differentiable import with_gradient

KNOWN = "cond_or_uncond"  # ComfyUI's name for the side of each part of a batch
SIDES = "tbsd_sides"


def with_sides(model_options: dict, sides: Sequence[Sequence[int]]) -> dict:
    """Options of a forward with the sides of its samples, condition by condition."""
    return {**model_options, "transformer_options": {**model_options.get("transformer_options", {}), SIDES: sides}}


def on_their_sides(executor, x, t, c_concat, c_crossattn, control, transformer_options, **kwargs):
    """Around the model: ComfyUI's numbers of the conditions become their sides, one each, or one for each sample."""
    sides, order = transformer_options.get(SIDES), transformer_options.get(KNOWN, [])
    if sides is None:
        known = [min(i, 1) for i in order]
    elif all(len(set(sides[i])) == 1 for i in order):
        known = [sides[i][0] for i in order]
    else:  # an edit asks about its picture and its source as samples of one condition
        known = [side for i in order for side in sides[i]]
    options = with_gradient({**transformer_options, KNOWN: known})
    return executor(x, t, c_concat, c_crossattn, added_out_of_place(control), options, **kwargs)
