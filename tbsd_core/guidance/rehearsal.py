"""Gradients as noisy as with real models, on the small world.

Another draw of noise and timestep repeats .58 to .94 of a gradient of the demo model, but far less of a real model's.
Settings tuned on clean gradients may fail there, because regularisers, which do not change from draw to draw, win.
`rehearsal_noise` k of a run adds white noise of k times the gradient's RMS to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..rng import named_generator
from .base import Guidance, GuidanceInputs, GuidanceOutput


def noisy(method: Guidance, noise: float, seed: int, n_steps: int) -> Guidance:
    """A method whose gradient on the latents has white noise of `noise` times its own RMS, in each sample.

    The gradient on pixels that some methods have stays as it is. Everything else comes from the method: the result is
    of its class, so that what a loop does for its kind (a trajectory, a LoRA, pixels) is done for it, too.
    """

    def call(self: Any, inputs: GuidanceInputs) -> GuidanceOutput:
        out = method(inputs)
        generator = named_generator(seed, "rehearsal noise", round(inputs.progress * n_steps))
        white = torch.randn(out.grad.shape, generator=generator).to(out.grad)
        rms = out.grad.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
        return replace(out, grad=out.grad + noise * rms * white)

    kind = type(f"Noisy{type(method).__name__}", (type(method),), {"__call__": call})
    made = kind.__new__(kind)
    made.__dict__ = method.__dict__  # one state
    return made
