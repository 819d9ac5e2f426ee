"""A tiny Stable Zero123 and the vision model that goes with it, built in memory from comfy's own classes.

Import it after `load_pack`.
"""

from __future__ import annotations

import json
from pathlib import Path

import comfy.clip_vision
import comfy.model_base
import tiny
import torch


def zero123(**changes):
    """Reads CLIP embeddings of 768 numbers and four of a camera, as the model class has it."""
    generator = torch.Generator().manual_seed(2)
    weight, bias = (0.04 * torch.randn(*shape, generator=generator) for shape in ((768, 772), (768,)))

    def model(config, model_type, device):
        projection = dict(cc_projection_weight=weight, cc_projection_bias=bias)
        with torch.no_grad():
            return comfy.model_base.Stable_Zero123(config, model_type, device, **projection)

    return tiny.unet(model=model, **{"context_dim": 768, **changes, "in_channels": 8})


def clip_vision(folder):
    """A small CLIP_VISION with embeddings as wide as ViT-L's; its description is written to `folder`."""
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, patch_size=56)
    shape |= dict(image_size=224, num_channels=3, projection_dim=768, layer_norm_eps=1e-5, hidden_act="quick_gelu")
    path = Path(folder) / "clip_vision.json"  # older hosts read a file
    path.write_text(json.dumps({**shape, "model_type": "clip_vision_model"}), encoding="utf-8")
    built = comfy.clip_vision.ClipVisionModel(str(path))
    tiny.randomize(built.model)
    return built
