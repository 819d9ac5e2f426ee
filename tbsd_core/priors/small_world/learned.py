"""The learned prior: a miniature Stable Diffusion that was trained on the small world (see train.py), and its
ControlNet for depth (train_control.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...optional import require
from ..diffusers import DiffusersPrior
from ..diffusers.parts import check_parts, read_json
from ..diffusers.stable_diffusion import PARTS, build
from .quantized import read_weights
from .tokenizer import load_tokenizer, tokenize

WEIGHTS = Path(__file__).parent / "weights"
CONTROL_KIND = "depth"


def load_learned_prior(folder: Path = WEIGHTS, device: str = "cpu") -> DiffusersPrior:
    """Read the shipped weights in float32; prompts with unknown words raise ValueError with the vocabulary."""
    check_parts(folder, tuple(name for name in PARTS if name != "tokenizer"))
    diffusers, transformers = require("diffusers"), require("transformers")
    parts = {
        name: getattr(diffusers, PARTS[name]).from_config(read_json(folder / name / "config.json"))
        for name in ("unet", "vae")
    }
    config = transformers.CLIPTextConfig(**read_json(folder / "text_encoder" / "config.json"))
    parts["text_encoder"] = transformers.CLIPTextModel(config)
    for name, part in parts.items():
        part.load_state_dict(read_weights(folder / name))
    parts["scheduler"] = diffusers.DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    tokenizer = load_tokenizer(folder / "tokenizer")
    return build(parts, {}, torch.device(device), lambda text: tokenize(tokenizer, [text]))


def load_learned_control(folder: Path = WEIGHTS / "control_depth") -> Any:
    """Read the shipped ControlNet (diffusers) of that prior, in float32 on the CPU."""
    control = require("diffusers").ControlNetModel.from_config(read_json(folder / "config.json"))
    control.load_state_dict(read_weights(folder))
    return control
