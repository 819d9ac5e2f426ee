"""Errors that would only come later, raised before a run begins."""

from __future__ import annotations

import torch

from ..priors.diffusers import check_pipeline
from ..priors.diffusers.source import find
from ..priors.small_world.captions import check_words
from ..prompts import build_texts
from .config import COMFYUI, DIFFUSERS, DTYPES, ExperimentConfig, is_demo
from .control import check_control_config


def check_config(config: ExperimentConfig) -> None:
    """Raise ValueError for errors that would only show later: unknown words, sizes that do not fit, a missing
    device."""
    if config.dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {config.dtype!r}.")
    if config.prompt.ready_made:
        raise ValueError("The prompts of this run came ready-made from nodes of ComfyUI: resume it there.")
    check_control_config(config)
    if is_demo(config):
        for views in build_texts(config.prompt).values():
            for text in views.values():
                check_words(text)
        encoded = config.optim.encode_size or config.optim.size
        if encoded % 4:
            raise ValueError(f"size (or encode_size) must be a multiple of 4 for the demo models, got {encoded}.")
        if config.dtype != "float32":
            raise ValueError(f"The demo models compute in float32, got {config.dtype}. Leave out --dtype.")
    try:
        torch.zeros(1, device=config.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"The device {config.device!r} cannot be used: {str(error).splitlines()[0]}") from error
    if is_demo(config) or config.prior.startswith(COMFYUI):
        return
    factor = check_pipeline(find(config.prior.removeprefix(DIFFUSERS))).spatial_factor
    encoded = config.optim.encode_size or config.optim.size
    if encoded % factor:
        raise ValueError(f"size (or encode_size) must be a multiple of {factor} for this pipeline, got {encoded}.")
