"""Writes a small checkpoint that ComfyUI's loaders take for Stable Diffusion 1.5: random weights, about 300 MB."""

from __future__ import annotations

import json
import sys

from pack import load_pack

load_pack()
import comfy.sd1_clip  # noqa: E402
import comfy.taesd.taesd  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

# what detection looks at is as in SD 1.5: 320 channels, 768-wide context, convolutions in the transformers
model = tiny.unet(
    model_channels=320,
    channel_mult=[1, 1, 1],
    num_res_blocks=[1, 1, 1],
    transformer_depth=[0, 0, 1],  # attention where there are few tokens
    transformer_depth_output=[0, 0, 0, 0, 1, 1],
    context_dim=768,
    num_heads=8,
)
clip = tiny.randomize(comfy.sd1_clip.SD1ClipModel(dtype=torch.float32))  # CLIP-L has one size only
parts = {
    "model.diffusion_model.": model.model.diffusion_model,
    "cond_stage_model.transformer.": clip.clip_l.transformer,
    "first_stage_model.": tiny.randomize(comfy.taesd.taesd.TAESD()),
}
weights = {p + k: v.half().contiguous() for p, module in parts.items() for k, v in module.state_dict().items()}
save_file(weights, sys.argv[3])
print(json.dumps(sum(v.numel() for v in weights.values())))
