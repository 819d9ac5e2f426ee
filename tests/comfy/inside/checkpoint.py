"""Writes a checkpoint of random weights that ComfyUI's loaders take for one of a family, with as few as they let pass.

Detection looks at widths and depths of the network, and text encoders have one size only. SD 1.5: 320 channels, a
768-wide context, convolutions in the transformers; 350 MB. SDXL: 320 channels, a 2048-wide context, 0, 0, 2, 2, 10 and
10 blocks of attention on the way down, and CLIP-G beside CLIP-L; 1.9 GB. SD3: a joint block of 64 channels, and one of
its three text encoders; 250 MB. Stable Zero123: as SD 1.5, with eight channels going in, what projects the numbers of a
camera, and a vision model of 24 layers; 680 MB.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pack import load_pack

load_pack()
import comfy.clip_vision  # noqa: E402
import comfy.sd1_clip  # noqa: E402
import comfy.sdxl_clip  # noqa: E402
import comfy.taesd.taesd  # noqa: E402
import tiny  # noqa: E402
import tiny_zero123  # noqa: E402
import torch  # noqa: E402
from checkpoint_shape import SHAPE  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

CELLS = 64  # the longest side of SD3's latents that its table of positions covers
VIT_L = "clip_vision_config_vitl.json"  # of comfy
CLIP_L, CLIP_G, T5 = 768, 1280, 4096  # widths of the text encoders


def clip_l():
    return tiny.randomize(comfy.sd1_clip.SD1ClipModel(dtype=torch.float32)).clip_l.transformer


def clip_g():
    """Its layers are zero, so that tokens pass through them as they are: 32 layers of noise would only cost time."""
    network = comfy.sdxl_clip.SDXLClipG(dtype=torch.float16).transformer
    generator = torch.Generator().manual_seed(1)
    for name, p in network.named_parameters():
        p.data.zero_()
        if "embedding" in name:
            p.data.copy_(0.5 * torch.randn(p.shape, generator=generator))
        elif "final_layer_norm.weight" in name:
            p.data.fill_(1)
    torch.nn.init.eye_(network.text_projection.weight.data)
    return network


def sd15() -> dict:
    model = tiny.unet(**SHAPE)
    return {"model.diffusion_model.": model.model.diffusion_model, "cond_stage_model.transformer.": clip_l()}


def zero123() -> dict:
    """The layers of its vision model are zero, as in CLIP-G above."""
    model = tiny_zero123.zero123(**SHAPE)
    vision = comfy.clip_vision.ClipVisionModel(str(Path(comfy.clip_vision.__file__).parent / VIT_L)).model
    generator = torch.Generator().manual_seed(1)
    for name, p in vision.named_parameters():
        p.data.zero_()
        if "embedding" in name or "visual_projection" in name:
            p.data.copy_(0.02 * torch.randn(p.shape, generator=generator))
        elif "layrnorm.weight" in name or "post_layernorm.weight" in name:
            p.data.fill_(1)
    return {
        "model.diffusion_model.": model.model.diffusion_model,
        "cc_projection.": model.model.cc_projection,
        "cond_stage_model.model.visual.": vision,
    }


def sdxl() -> dict:
    model = tiny.unet(
        model_channels=320,
        channel_mult=[1] * 6,  # a level for each entry of the list that detection wants: attention has few tokens
        num_res_blocks=[1] * 6,
        transformer_depth=[0, 0, 2, 2, 10, 10],
        transformer_depth_output=[0] * 12,
        transformer_depth_middle=-1,  # none
        context_dim=CLIP_L + CLIP_G,
        num_heads=5,
        adm_in_channels=CLIP_G + 6 * 256,
        num_classes="sequential",
        use_linear_in_transformer=True,
    )
    encoders = {"0.transformer.": clip_l(), "1.model.transformer.": clip_g()}
    texts = {f"conditioner.embedders.{name}": encoder for name, encoder in encoders.items()}
    return {"model.diffusion_model.": model.model.diffusion_model, **texts}


def sd3() -> dict:
    context = {"in_features": T5, "out_features": 64}
    model = tiny.sd3(
        adm_in_channels=CLIP_L + CLIP_G,
        context_embedder_config={"target": "torch.nn.Linear", "params": context},
        num_patches=(CELLS // 2) ** 2,
        pos_embed_max_size=CELLS // 2,
    )
    return {"model.diffusion_model.": model.model.diffusion_model, "text_encoders.clip_l.transformer.": clip_l()}


FAMILIES = {"sd15": (sd15, 4), "zero123": (zero123, 4), "sdxl": (sdxl, 4), "sd3": (sd3, 16)}
make, channels = FAMILIES[sys.argv[4]]
with torch.no_grad():
    parts = make() | {"first_stage_model.": tiny.randomize(comfy.taesd.taesd.TAESD(latent_channels=channels))}
    weights = {p + k: v.half().contiguous() for p, module in parts.items() for k, v in module.state_dict().items()}
save_file(weights, sys.argv[3])
print(json.dumps(sum(v.numel() for v in weights.values())))
