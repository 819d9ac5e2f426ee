"""The learned prior: a miniature Stable Diffusion that was trained on the small world (see train.py), its ControlNet
for depth (train_control.py), and its multi-view sibling (train_multiview.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...optional import require
from ..camera_tokens import CameraTokens
from ..diffusers import DiffusersPrior
from ..diffusers.parts import check_parts, read_json
from ..diffusers.stable_diffusion import PARTS, build
from . import VIEWS_PER_GROUP
from .quantized import read_weights
from .tokenizer import load_tokenizer, tokenize

WEIGHTS = Path(__file__).parent / "weights"
CONTROL_KIND = "depth"
UNET, MULTIVIEW_UNET, CAMERA_TOKENS = "unet", "unet_multiview", "camera_tokens"  # folders beside the other parts


def load_learned_prior(folder: Path = WEIGHTS, device: str = "cpu", unet: str = UNET) -> DiffusersPrior:
    """Read the shipped weights in float32; prompts with unknown words raise ValueError with the vocabulary.

    `unet` names the folder of the network.
    """
    folders = {name: folder / (unet if name == UNET else name) for name in PARTS if name != "tokenizer"}
    check_parts(folder, tuple(path.name for path in folders.values()))
    diffusers, transformers = require("diffusers"), require("transformers")
    parts = {
        name: getattr(diffusers, PARTS[name]).from_config(read_json(folders[name] / "config.json"))
        for name in ("unet", "vae")
    }
    config = transformers.CLIPTextConfig(**read_json(folder / "text_encoder" / "config.json"))
    parts["text_encoder"] = transformers.CLIPTextModel(config)
    for name, part in parts.items():
        part.load_state_dict(read_weights(folders[name]))
    parts["scheduler"] = diffusers.DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    tokenizer = load_tokenizer(folder / "tokenizer")
    return build(parts, {}, torch.device(device), lambda text: tokenize(tokenizer, [text]))


def load_multiview_prior(folder: Path = WEIGHTS, device: str = "cpu") -> DiffusersPrior:
    """The same model with the UNet that sees groups of views together, and is told their cameras."""
    prior = load_learned_prior(folder, device, MULTIVIEW_UNET)
    prior.attach_cameras(load_camera_tokens(folder), VIEWS_PER_GROUP)
    return prior


def load_camera_tokens(folder: Path = WEIGHTS) -> CameraTokens:
    """The network that tells a camera to that UNet, in float32 on the CPU."""
    tokens = CameraTokens(**read_json(folder / CAMERA_TOKENS / "config.json"))
    tokens.load_state_dict(read_weights(folder / CAMERA_TOKENS))
    return tokens.requires_grad_(False).eval()


def load_learned_control(folder: Path = WEIGHTS / "control_depth") -> Any:
    """Read the shipped ControlNet (diffusers) of that prior, in float32 on the CPU."""
    control = require("diffusers").ControlNetModel.from_config(read_json(folder / "config.json"))
    control.load_state_dict(read_weights(folder))
    return control
