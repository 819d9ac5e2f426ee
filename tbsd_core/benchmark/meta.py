"""Real model families without their weights: memory and operations counted on meta tensors, which hold no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..counting import Amount, counted
from ..experiment.needs import Needs
from ..optional import require
from ..priors.diffusers.architectures import ARCHITECTURES
from ..priors.diffusers.autoencoder import encode_images, spatial_factor

VAE_16 = {  # of SD3 and Flux
    **ARCHITECTURES["sd1"]["vae"],
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "scaling_factor": 1.0,
}
SD3_MEDIUM = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "attention_head_dim": 64,
    "caption_projection_dim": 1536,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 2048,
    "in_channels": 16,
    "out_channels": 16,
    "sample_size": 128,
    "pos_embed_max_size": 192,
}
FLUX_DEV = {
    "num_layers": 19,
    "num_single_layers": 38,
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "in_channels": 64,
    "guidance_embeds": True,
}
TEXT_TOKENS = {"sd3": 333, "flux": 512}  # 77 of CLIP and 256 of T5; T5
Forward = Callable[[nn.Module, Tensor], object]  # of latents [B, C, h, w]


def _meta(*shape: int, like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device)


def _unet(unet: Any, x: Tensor) -> object:
    b, context = len(x), _meta(len(x), 77, unet.config.cross_attention_dim, like=x)
    added = None
    if unet.config.addition_embed_type == "text_time":
        added = {"text_embeds": _meta(b, 1280, like=x), "time_ids": _meta(b, 6, like=x)}
    return unet(x, _meta(b, like=x), context, added_cond_kwargs=added)


def _sd3(network: Any, x: Tensor) -> object:
    context = _meta(len(x), TEXT_TOKENS["sd3"], network.config.joint_attention_dim, like=x)
    pooled = _meta(len(x), network.config.pooled_projection_dim, like=x)
    return network(x, encoder_hidden_states=context, pooled_projections=pooled, timestep=_meta(len(x), like=x))


def _flux(network: Any, x: Tensor) -> object:
    b, c, h, w = x.shape
    tokens, text = h * w // 4, TEXT_TOKENS["flux"]
    return network(
        _meta(b, tokens, 4 * c, like=x),
        encoder_hidden_states=_meta(b, text, network.config.joint_attention_dim, like=x),
        pooled_projections=_meta(b, network.config.pooled_projection_dim, like=x),
        timestep=_meta(b, like=x),
        img_ids=_meta(tokens, 3, like=x),
        txt_ids=_meta(text, 3, like=x),
        guidance=_meta(b, like=x),
    )


@dataclass(frozen=True)
class RealModel:
    """The shape of a family's network and autoencoder.

    Args:
        network: class of diffusers.
        vae_in_half: whether ComfyUI runs the autoencoder in float16 where there is no bfloat16; else in float32.
    """

    network: str
    config: Mapping[str, Any]
    forward: Forward
    vae: Mapping[str, Any]


REAL_MODELS: dict[str, RealModel] = {
    "sd15": RealModel("UNet2DConditionModel", ARCHITECTURES["sd1"]["unet"], _unet, ARCHITECTURES["sd1"]["vae"]),
    "sd21_v": RealModel("UNet2DConditionModel", ARCHITECTURES["sd2"]["unet"], _unet, ARCHITECTURES["sd2"]["vae"]),
    "sdxl": RealModel("UNet2DConditionModel", ARCHITECTURES["sdxl"]["unet"], _unet, ARCHITECTURES["sdxl"]["vae"]),
    "sd3": RealModel("SD3Transformer2DModel", SD3_MEDIUM, _sd3, VAE_16),
    "flux": RealModel("FluxTransformer2DModel", FLUX_DEV, _flux, VAE_16),
}


@dataclass(frozen=True)
class Counts:
    """Counts for one view: its encoding without a gradient, with one, and with recomputed blocks, and its predictions.

    Args:
        predict: of all conditions together; n_conditions: their number.
        network, autoencoder: bytes of the weights.
    """

    encoded: Amount
    encode: Amount
    recomputed: Amount
    predict: Amount
    n_conditions: int
    network: float
    autoencoder: float


def count(
    family: str,  # a name in REAL_MODELS
    size: int,  # pixels along a side of the encoded pictures
    n_conditions: int = 3,
    dtype: torch.dtype = torch.float16,  # of the network
    vae_dtype: torch.dtype = torch.bfloat16,
) -> Counts:
    """Count at full size, with the attention of CUDA cards, which stores no matrix of all pairs."""
    model, diffusers = REAL_MODELS[family], require("diffusers")
    with torch.device("meta"):
        network = getattr(diffusers, model.network).from_config(dict(model.config))
        vae = diffusers.AutoencoderKL.from_config(dict(model.vae))
        images = torch.empty(1, 3, size, size, requires_grad=True)
    for part, wanted in ((network, dtype), (vae, vae_dtype)):
        nn.Module.to(part, wanted).requires_grad_(False).eval()
    cells = size // spatial_factor(vae)
    latents = torch.empty(n_conditions, vae.config.latent_channels, cells, cells, dtype=dtype, device="meta")

    def encode(recompute: bool) -> None:
        torch.autograd.grad(encode_images(vae, images, recompute).sum(), [images])

    with attention_of_cuda():
        with torch.no_grad():
            encoded = counted(lambda: encode_images(vae, images))
            predict = counted(lambda: model.forward(network, latents))
        kept, again = counted(lambda: encode(False)), counted(lambda: encode(True))
        return Counts(encoded, kept, again, predict, n_conditions, _weights(network), _weights(vae))


def with_counts(needs: Needs, counts: Counts) -> Needs:
    """The needs of the scene, with the counts of the real networks."""
    work = replace(
        needs.work,
        glance=counts.encoded.flops,
        see=counts.encode.flops,
        again=counts.recomputed.flops - counts.encode.flops,
        predict=counts.predict.flops / counts.n_conditions,
        train=0.0,
    )
    memory = (counts.encode.bytes, counts.recomputed.bytes, counts.predict.bytes)
    return replace(needs, **dict(zip(("encode", "recomputed", "predict"), memory, strict=True)), work=work)


def _weights(module: nn.Module) -> float:
    return float(sum(p.numel() * p.element_size() for p in module.parameters()))


@contextmanager
def attention_of_cuda() -> Iterator[None]:
    """Inside, attention is the operation that CUDA uses for any head width.

    On meta tensors torch picks the one that stores all pairs; no card does.
    """
    original = F.scaled_dot_product_attention

    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        grad = torch.is_grad_enabled() and query.requires_grad
        return torch.ops.aten._scaled_dot_product_efficient_attention(query, key, value, attn_mask, grad, 0.0)[0]

    F.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = original
