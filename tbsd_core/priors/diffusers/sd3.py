"""Stable Diffusion 3 (arXiv:2403.03206): a rectified flow, expressed as noise predictions.

The flow is x = (1 - sigma) x_0 + sigma noise and the network predicts noise - x_0. Divided by
sqrt((1 - sigma)^2 + sigma^2) such an x is a variance-preserving x_t with the same noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...transfer import Table
from ..base import LoRAConfig
from ..lora import LoRAAdapter
from ..schedule import of_flow
from . import autoencoder
from .parts import token_ids
from .sdxl import PooledText, clip_states

PARTS = {
    "transformer": "SD3Transformer2DModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModelWithProjection",
    "text_encoder_2": "CLIPTextModelWithProjection",
    "text_encoder_3": "T5EncoderModel",
    "scheduler": "FlowMatchEulerDiscreteScheduler",
    "tokenizer": "CLIPTokenizer",
    "tokenizer_2": "CLIPTokenizer",
    "tokenizer_3": "T5TokenizerFast",
}
OPTIONAL = ("text_encoder_3", "tokenizer_3")  # the model was trained to do without T5, too

T5_TOKENS = 256


class SD3Prior:
    """A frozen SD3 pipeline. The network runs in its own dtype; latents and gradients stay float32.

    Args:
        text_encoders, tokenizers: two CLIP encoders, then T5 or nothing.
        sigmas: [T], the flow's noise levels in (0, 1), least noise first.
    """

    recompute_encoder = False
    is_flow = True

    def __init__(self, transformer, vae, text_encoders: Sequence, tokenizers: Sequence, sigmas: Tensor) -> None:
        self.transformer, self.vae = transformer, vae
        self.text_encoders, self.tokenizers = text_encoders, tokenizers
        for part in (transformer, vae, *text_encoders):
            part.requires_grad_(False).eval()
        self.schedule = of_flow(sigmas)
        self.latent_channels: int = transformer.config.in_channels
        self.spatial_factor = autoencoder.spatial_factor(vae)
        self._sigmas = Table(sigmas)

    @torch.no_grad()
    def encode_prompt(self, text: str) -> PooledText:
        """CLIP tokens, padded to T5's width, then T5's tokens; both pooled CLIP vectors side by side."""
        clip, pooled = clip_states(self.text_encoders[:2], self.tokenizers[:2], text)
        width = self.transformer.config.joint_attention_dim
        t5 = clip.new_zeros(1, T5_TOKENS, width)
        for encoder, tokenizer in zip(self.text_encoders[2:], self.tokenizers[2:], strict=True):
            t5 = encoder(token_ids(tokenizer, text, T5_TOKENS).to(clip.device))[0].to(clip.dtype)
        return PooledText(torch.cat([F.pad(clip, (0, width - clip.shape[-1])), t5], 1), torch.cat(pooled, -1))

    @torch.no_grad()
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Sequence[Sequence[PooledText]]) -> list[Tensor]:
        k, rows = len(conditions), [c for condition in conditions for c in condition]
        return list(self._predict(x_t.repeat(k, 1, 1, 1), t.repeat(k), rows).chunk(k))

    def make_adapter(self, config: LoRAConfig, seed: int) -> LoRAAdapter:
        # at one x, (1 - sigma) (v_pred - v) = eps_pred - eps
        return LoRAAdapter(
            self.transformer, self._predict, lambda t: (1 - self._sigmas.on(t.device)[t]) ** -2, config, seed
        )

    def _predict(self, x_t: Tensor, t: Tensor, rows: Sequence[PooledText]) -> Tensor:
        dtype = next(self.transformer.parameters()).dtype
        sigma = self._sigmas.on(t.device)[t]
        s = sigma.view(-1, 1, 1, 1)
        x = x_t * ((1 - s) ** 2 + s**2).sqrt()
        velocity = self.transformer(
            hidden_states=x.to(dtype),
            timestep=sigma * 1000,
            encoder_hidden_states=torch.cat([c.context for c in rows]).to(dtype),
            pooled_projections=torch.cat([c.pooled for c in rows]).to(dtype),
        ).sample.float()
        return x + (1 - s) * velocity

    def encode(self, images: Tensor) -> Tensor:
        return autoencoder.encode_images(self.vae, images, self.recompute_encoder)

    def decode(self, latents: Tensor) -> Tensor:
        return autoencoder.decode_latents(self.vae, latents)


def build(parts: Mapping[str, Any], index: Mapping[str, Any], device: torch.device) -> SD3Prior:
    """The prior of loaded parts, by the names of PARTS; `index` is model_index.json."""
    transformer = parts["transformer"].to(device)
    vae = autoencoder.to_safe_dtype(parts["vae"].to(device), transformer.dtype)
    names = [n for n in ("text_encoder", "text_encoder_2", "text_encoder_3") if n in parts]
    encoders = [parts[n].to(device) for n in names]
    for module_name, module in encoders[-1].named_modules():
        if module_name.endswith(".wo"):  # T5's feed-forward outputs overflow in float16
            module.float()
    sigmas = parts["scheduler"].sigmas.flip(0)
    tokenizers = [parts[n.replace("text_encoder", "tokenizer")] for n in names]
    return SD3Prior(transformer, vae, encoders, tokenizers, sigmas[(sigmas > 0) & (sigmas < 1)])
