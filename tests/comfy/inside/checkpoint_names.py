"""Names and shapes of a Stable Diffusion 1 checkpoint, from ComfyUI's own classes on the meta device."""

from __future__ import annotations

import json

from pack import load_pack

load_pack()
import comfy.ops  # noqa: E402
import comfy.sd1_clip  # noqa: E402
import comfy.supported_models  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.models.autoencoder import AutoencoderKL  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402

UNET = dict(
    image_size=32,
    in_channels=4,
    out_channels=4,
    model_channels=320,
    num_res_blocks=[2, 2, 2, 2],
    channel_mult=[1, 2, 4, 4],
    transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
    transformer_depth_middle=1,
    transformer_depth_output=[1] * 9 + [0] * 3,
    use_spatial_transformer=True,
    use_linear_in_transformer=False,
    context_dim=768,
    num_heads=8,
    legacy=False,
)
VAE = dict(
    double_z=True,
    z_channels=4,
    resolution=256,
    in_channels=3,
    out_ch=3,
    ch=128,
    ch_mult=[1, 2, 4, 4],
    num_res_blocks=2,
    attn_resolutions=[],
    dropout=0.0,
)
unet = UNetModel(**UNET, dtype=torch.float16, device="meta", operations=comfy.ops.disable_weight_init)
with torch.device("meta"):
    vae = AutoencoderKL(ddconfig=VAE, embed_dim=4)
clip = comfy.sd1_clip.SD1ClipModel(device="meta", dtype=torch.float16)
saved = comfy.supported_models.SD15({"context_dim": 768}).process_clip_state_dict_for_saving(clip.state_dict())
weights = {"model.diffusion_model." + k: v for k, v in unet.state_dict().items()}
weights |= {"first_stage_model." + k: v for k, v in vae.state_dict().items()} | saved
print(json.dumps({name: list(weight.shape) for name, weight in weights.items()}))
