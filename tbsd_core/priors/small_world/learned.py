"""The learned prior: a miniature Stable Diffusion that was trained on the small world (see train.py)."""

from __future__ import annotations

from pathlib import Path

import torch

from ..diffusers import DiffusersPrior, load_parts
from ..diffusers.stable_diffusion import PARTS, build
from .tokenizer import load_tokenizer, tokenize

WEIGHTS = Path(__file__).parent / "weights"


def load_learned_prior(folder: Path = WEIGHTS, device: str = "cpu") -> DiffusersPrior:
    """Read the shipped weights in float32; prompts with unknown words raise ValueError with the vocabulary."""
    parts = load_parts(folder, {k: v for k, v in PARTS.items() if k != "tokenizer"}, torch.float32)
    tokenizer = load_tokenizer(folder / "tokenizer")
    return build(parts, {}, torch.device(device), lambda text: tokenize(tokenizer, [text]))
