"""Tiny real models with random weights, one of each family, built in memory from comfy's own classes.

Import it after `load_pack`.
"""

from __future__ import annotations

import inspect

import comfy.cldm.cldm
import comfy.controlnet
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.supported_models_base
import torch
from comfy.ldm.flux.model import FluxParams
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.model_base import ModelType

WIDTH = 32  # of the text embeddings
POOLED = 16  # of the pooled embeddings
UNET = dict(
    image_size=32,
    in_channels=4,
    out_channels=4,
    model_channels=32,
    num_res_blocks=[1, 1],
    channel_mult=[1, 2],
    transformer_depth=[1, 1],
    transformer_depth_output=[1, 1, 1, 1],
    transformer_depth_middle=1,
    use_spatial_transformer=True,
    use_linear_in_transformer=False,
    context_dim=WIDTH,
    num_heads=4,
    num_head_channels=-1,
    adm_in_channels=None,
    legacy=False,
    use_checkpoint=False,
    use_temporal_resblock=False,
    use_temporal_attention=False,
    dtype=torch.float32,
)
DD = dict(
    double_z=True,
    z_channels=4,
    resolution=32,
    in_channels=3,
    out_ch=3,
    ch=32,
    ch_mult=[1, 1, 1, 1],
    num_res_blocks=1,
    attn_resolutions=[],
    dropout=0.0,
)


def randomize(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """comfy leaves weights uninitialised; small random ones with norms near the identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in module.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        fan = max(p[0].numel(), 1) if p.ndim > 1 else 1
        is_gain = p.ndim == 1 and name.endswith(("weight", "scale"))
        p.data.copy_(1 + 0.1 * noise if is_gain else 0.02 * noise if p.ndim == 1 else noise / fan**0.5)
    return module.eval()


def patcher(model, device=None, randomized=True) -> comfy.model_patcher.ModelPatcher:
    """A MODEL of the kind that ComfyUI's loaders make: dynamic where dynamic VRAM is on."""
    mm = comfy.model_management
    if randomized:
        randomize(model.diffusion_model)
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return kind(model, device or mm.get_torch_device(), mm.unet_offload_device())


class Packed(torch.Tensor):
    """Weights as a quantising custom node keeps them: bytes that a layer of its own unpacks, with the shape of what
    they stand for."""

    @staticmethod
    def pack(weight: torch.Tensor):
        scale = float(weight.abs().max()) / 32767
        packed = (weight / scale).round().to(torch.int16).view(torch.uint8).as_subclass(Packed)
        packed.scale, packed.logical = scale, weight.shape
        return packed

    @property
    def shape(self):
        return self.logical

    def unpack(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        return self.as_subclass(torch.Tensor).to(device).view(torch.int16).to(dtype) * self.scale

    def to(self, *args, **kwargs):
        moved = super().to(*args, **{k: v for k, v in kwargs.items() if k != "dtype"}).as_subclass(Packed)
        moved.scale, moved.logical = self.scale, self.logical
        return moved

    def detach(self):
        return self

    clone = detach


class PackedLinear(torch.nn.Module):
    comfy_cast_weights = True

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = layer.in_features, layer.out_features, layer.bias
        self.weight_function, self.bias_function = [], []
        self.register_parameter("weight", torch.nn.Parameter(Packed.pack(layer.weight.data), requires_grad=False))

    def forward(self, x):
        bias = None if self.bias is None else self.bias.to(x.device, x.dtype)
        return torch.nn.functional.linear(x, self.weight.unpack(x.dtype, x.device), bias)


def packed(model):
    """The MODEL with the projections of its attention packed."""
    for part in list(model.model.diffusion_model.modules()):
        for name, layer in list(part.named_children()):
            if name in ("to_q", "to_k", "to_v"):
                setattr(part, name, PackedLinear(layer))
    return model


def unet(kind=ModelType.EPS, latent=comfy.latent_formats.SD15, sampling=None, model=None, compute=None, **changes):
    """A UNet of SD's shape as a MODEL; `changes` replace its arguments, and it computes in `compute`."""
    model = model or comfy.model_base.BaseModel

    class Config(comfy.supported_models_base.BASE):
        latent_format = latent
        unet_extra_config = {}
        sampling_settings = sampling or {}
        memory_usage_factor = 1.0

    config = Config({**UNET, **changes})
    config.manual_cast_dtype = compute
    built = model(config, model_type=kind, device="cpu")
    if config.inpaint_model():
        built.set_inpaint()
    return patcher(built)


def sdxl():
    return unet(
        latent=comfy.latent_formats.SDXL,
        model=comfy.model_base.SDXL,
        adm_in_channels=POOLED + 6 * 256,
        num_classes="sequential",
        use_linear_in_transformer=True,
    )


def sd3(**changes):
    config = comfy.supported_models.SD3(
        dict(
            in_channels=16,
            patch_size=2,
            depth=1,
            input_size=None,
            adm_in_channels=POOLED,
            context_embedder_config={"target": "torch.nn.Linear", "params": {"in_features": WIDTH, "out_features": 64}},
            num_patches=64,
            pos_embed_max_size=8,
            pos_embed_scaling_factor=None,
            dtype=torch.float32,
        )
        | changes
    )
    model = comfy.model_base.SD3(config, device="cpu")
    table = model.diffusion_model.pos_embed  # a buffer
    table.copy_(torch.randn(table.shape, generator=torch.Generator().manual_seed(3)))
    return patcher(model)


def flux():
    since_flux2 = "txt_ids_dims" in FluxParams.__annotations__  # the host's own detection sets it from then on
    config = comfy.supported_models.Flux(
        dict(
            image_model="flux",
            in_channels=16,
            out_channels=16,
            patch_size=2,
            vec_in_dim=POOLED,
            context_in_dim=WIDTH,
            hidden_size=64,
            mlp_ratio=2.0,
            num_heads=4,
            depth=1,
            depth_single_blocks=1,
            axes_dim=[4, 6, 6],
            theta=10000,
            qkv_bias=True,
            guidance_embed=True,
            dtype=torch.float32,
            **({"txt_ids_dims": []} if since_flux2 else {}),
        )
    )
    return patcher(comfy.model_base.Flux(config, device="cpu"))


def vae(channels: int = 4, dtype: torch.dtype = torch.float32, **shape):
    config = {"ddconfig": {**DD, "z_channels": channels, **shape}, "embed_dim": channels}
    weights = randomize(AutoencoderKL(**config)).state_dict()
    built = comfy.sd.VAE(sd=weights, config={"params": config}, dtype=dtype)
    built.latent_channels = channels
    return built


def taesd(scale: float):
    weights = randomize(comfy.taesd.taesd.TAESD()).state_dict()
    return comfy.sd.VAE(sd={**weights, "vae_scale": torch.tensor(scale), "vae_shift": torch.tensor(0.0)})


def controlnet(hint: torch.Tensor, start: float = 0.0, end: float = 1.0):
    """A ControlNet over the UNet above with a picture [1, 3, H, W] to follow."""
    options = {k: v for k, v in UNET.items() if k not in ("out_channels", "transformer_depth_output")}
    net = randomize(comfy.cldm.cldm.ControlNet(**options, hint_channels=3), seed=5)
    control = comfy.controlnet.ControlNet(net, load_device=comfy.model_management.get_torch_device())
    return control.set_cond_hint(hint, 1.0, (start, end))


def conditioning(seed: int, tokens: int = 7, **options) -> list:
    """A CONDITIONING with random embeddings."""
    generator = torch.Generator().manual_seed(100 + seed)
    pooled = torch.randn(1, POOLED, generator=generator)
    return [[torch.randn(1, tokens, WIDTH, generator=generator), {"pooled_output": pooled, **options}]]


def has_model(name: str) -> bool:
    """Whether this ComfyUI knows a model class; families come with its versions."""
    return hasattr(comfy.supported_models, name)


def qwen_image():
    config = comfy.supported_models.QwenImage(
        dict(image_model="qwen_image", in_channels=64, num_layers=1, attention_head_dim=16, num_attention_heads=2)
        | dict(joint_attention_dim=WIDTH, pooled_projection_dim=POOLED, axes_dims_rope=(4, 6, 6), dtype=torch.float32)
    )
    return patcher(comfy.model_base.QwenImage(config, device="cpu"))


def anima():
    config = comfy.supported_models.Anima(
        dict(image_model="anima", max_img_h=240, max_img_w=240, max_frames=128, in_channels=16, out_channels=16)
        | dict(patch_spatial=2, patch_temporal=1, model_channels=64, num_blocks=1, num_heads=2)
        | dict(crossattn_emb_channels=1024, pos_emb_cls="rope3d", pos_emb_learnable=True, use_adaln_lora=True)
        | dict(adaln_lora_dim=16, extra_per_block_abs_pos_emb=False, dtype=torch.float32)
    )
    return patcher(comfy.model_base.Anima(config, device="cpu"))


def krea2():
    config = comfy.supported_models.Krea2(
        dict(image_model="krea2", features=64, tdim=32, txtdim=16, heads=2, kvheads=1, layers=1, txtlayers=2)
        | dict(txtheads=2, txtkvheads=2, dtype=torch.float32)
    )
    return patcher(comfy.model_base.Krea2(config, device="cpu"))


def z_image():
    config = comfy.supported_models.ZImage(
        dict(image_model="lumina2", patch_size=2, in_channels=16, dim=256, n_layers=1, n_refiner_layers=1, n_heads=8)
        | dict(n_kv_heads=8, cap_feat_dim=WIDTH, qk_norm=True, axes_dims=[8, 12, 12], axes_lens=[300, 512, 512])
        | dict(rope_theta=256.0, ffn_dim_multiplier=8 / 3, z_image_modulation=True, time_scale=1000.0)
        | dict(pad_tokens_multiple=32, dtype=torch.float32)
    )
    return patcher(comfy.model_base.Lumina2(config, device="cpu"))


def wan_vae():
    """The autoencoder of Wan 2.1, Qwen-Image, Anima and Krea 2, on frames."""
    from comfy.ldm.wan.vae import WanVAE

    dims = dict(z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], dropout=0.0)
    is_any_width = "image_channels" in inspect.signature(WanVAE.__init__).parameters  # 0.3.64 expects the full one
    network = WanVAE(dim=16 if is_any_width else 96, temperal_downsample=[False, True, True], **dims)
    return comfy.sd.VAE(sd=randomize(network).state_dict(), dtype=torch.float32)
