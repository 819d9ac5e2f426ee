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


class NoisyGuidance:
    """A method whose gradient on the latents has white noise of `noise` times its own RMS, in each sample.

    The gradient on pixels that some methods have stays as it is. Everything else comes from the method.
    """

    def __init__(self, method: Guidance, noise: float, seed: int, n_steps: int) -> None:
        self._method, self._noise, self._seed, self._n_steps = method, noise, seed, n_steps

    @property
    def config(self) -> Any:
        return self._method.config

    def required(self, progress: float) -> tuple[str, ...]:
        return self._method.required(progress)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)

    def __call__(self, inputs: GuidanceInputs) -> GuidanceOutput:
        out = self._method(inputs)
        step = round(inputs.progress * self._n_steps)
        generator = named_generator(self._seed, "rehearsal noise", step)
        white = torch.randn(out.grad.shape, generator=generator).to(out.grad)
        rms = out.grad.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
        return replace(out, grad=out.grad + self._noise * rms * white)
