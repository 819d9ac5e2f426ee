"""The learned prior: a miniature Stable Diffusion that was trained on the small world (see train.py)."""

from __future__ import annotations

from pathlib import Path

from ..diffusers import DiffusersPrior, load_diffusers_prior
from .tokenizer import load_tokenizer, tokenize

WEIGHTS = Path(__file__).parent / "weights"


def load_learned_prior(folder: Path = WEIGHTS, device: str = "cpu") -> DiffusersPrior:
    """Read the shipped weights in float32; prompts with unknown words raise ValueError with the vocabulary."""
    tokenizer = load_tokenizer(folder / "tokenizer")
    return load_diffusers_prior(folder, lambda text: tokenize(tokenizer, [text]), device)
