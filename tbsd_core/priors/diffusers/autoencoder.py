"""The image autoencoder of a pipeline: pixels in [0, 1] to latents at the scale the network was trained on."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from ..recompute import recomputed

BLOCKS = ("ResnetBlock2D", "Attention")  # diffusers' classes of blocks that are worth computing twice


def encode_images(
    vae,  # a diffusers AutoencoderKL
    images: Tensor,  # [B, 3, H, W] in [0, 1]
    recompute: bool = False,  # what the blocks hold until backward: the same gradient, slower, in less memory
) -> Tensor:
    """Latents [B, C, h, w] float32: the mean of the posterior, shifted and scaled; differentiable."""
    weight = next(vae.parameters())
    blocks = (part for part in vae.encoder.modules() if type(part).__name__ in BLOCKS)
    with recomputed(blocks) if recompute and torch.is_grad_enabled() else nullcontext():
        mean = vae.encode((images * 2 - 1).to(weight.device, weight.dtype)).latent_dist.mean
    return (mean.float() - shift(vae)) * vae.config.scaling_factor


@torch.no_grad()
def decode_latents(vae, latents: Tensor) -> Tensor:
    """Images [B, 3, H, W] in [0, 1] of latents [B, C, h, w], without gradient."""
    weight = next(vae.parameters())
    unscaled = latents / vae.config.scaling_factor + shift(vae)
    images = vae.decode(unscaled.to(weight.device, weight.dtype)).sample
    return (images.float() / 2 + 0.5).clamp(0, 1)


def shift(vae) -> float:
    """The number that is subtracted before scaling: 0 except in flow models."""
    return getattr(vae.config, "shift_factor", None) or 0.0


def spatial_factor(vae) -> int:
    """Image pixels per latent cell."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def to_safe_dtype(vae, dtype: torch.dtype):
    """A float32 autoencoder in `dtype`, except where its own config forbids it, as SDXL's, and in float16: the gradient
    of a step is so small there that it vanishes."""
    return vae if vae.config.force_upcast or dtype in (torch.float16, vae.dtype) else vae.to(dtype)
