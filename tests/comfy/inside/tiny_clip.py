"""A CLIP of the host with random weights, of a few kilobytes; imported after the pack has booted ComfyUI."""

from __future__ import annotations

import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import torch
from tiny import randomize


def text(projection: torch.Tensor, randomized: bool = True):
    """A CLIP with comfy's own tokenizer and a random text encoder, and its config."""
    width = len(projection)
    config = dict(hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    config |= dict(vocab_size=49408, max_position_embeddings=77, hidden_act="quick_gelu")
    config |= dict(bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)

    class TextEncoder(comfy.sd1_clip.SDClipModel):
        def __init__(self, device="cpu", dtype=None, model_options=None):
            options = dict(device=device, dtype=dtype, model_options=model_options or {})
            super().__init__(textmodel_json_config=dict(config), return_projected_pooled=False, **options)

    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    target.params = {"clip_model": TextEncoder}
    clip = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
    if randomized:
        randomize(clip.cond_stage_model.clip_l.transformer)
        clip.cond_stage_model.clip_l.transformer.text_projection.weight.data.copy_(projection)
    return clip, config | {"projection_dim": width}
