"""The memory of a step, asked of ComfyUI before it loads the models."""

from __future__ import annotations

import math
from collections.abc import Callable

import comfy.model_management

from .autoencoder import encoding_memory, weights_memory
from .autograd import optimization_mode
from .compat import is_dynamic
from .resident import load_whole, make_room

EVALUATIONS = 4  # conditions per view that the memory is reserved for; more of them run in several forwards


def reserve_memory(vae, shape: tuple[int, int, int], whole: bool) -> Callable:
    """Around comfy's loading: ask for the memory of a step, where comfy thinks of a sampler with two conditions.

    Args:
        whole: the model's weights must all be on its device.
    """

    def prepare(executor, model, noise_shape, *args, **kwargs):
        # comfy reserves memory_required of twice this batch, and the estimate is linear in the batch
        for_one = model.model.memory_required([2, *noise_shape[1:]])
        is_together = vae.device.type == model.load_device.type

        def ours(n: int, again: bool = False) -> float:
            return encoding_memory(vae, (n, *shape[1:]), again) + weights_memory(vae) if is_together else 0

        def step(n: int, again: bool = False) -> float:
            return ours(n, again) + for_one * n * EVALUATIONS / 2

        # where no card of this size holds all views beside the weights, the plan has them go through a few at a time:
        # weights that made room for the others would be copied in every forward, for nothing
        room = comfy.model_management.get_total_memory(model.load_device) - model.model_size()
        n = next((n for n in range(noise_shape[0], 0, -1) if step(n) <= room), 0)
        again, n = n == 0, max(1, n)  # not even one: its encoder is computed again for the gradient, as the plan has it
        needed = step(n, again)
        if is_dynamic(model):  # comfy reserves nothing then: pages of other models go as they are needed, ours cannot
            comfy.model_management.free_memory(needed, model.load_device)
        batch = n * EVALUATIONS / 2 + ours(n, again) / for_one
        if whole and "force_full_load" in kwargs:
            kwargs["force_full_load"] = True
        if whole:
            make_room(model, needed)
        with optimization_mode():
            loaded = executor(model, [math.ceil(batch), *noise_shape[1:]], *args, **kwargs)
            if whole:
                load_whole(model)
        return loaded

    return prepare
