"""Stable Diffusion XL (arXiv:2307.01952): two text encoders, and a UNet that is told the picture's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...transfer import to_device
from ..base import LoRAConfig
from ..lora import LoRAAdapter
from ..schedule import NoiseSchedule
from . import autoencoder
from .parts import token_ids
from .stable_diffusion import as_noise, check_network, network_error, noise_schedule

PARTS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "text_encoder_2": "CLIPTextModelWithProjection",
    "scheduler": "DDIMScheduler",
    "tokenizer": "CLIPTokenizer",
    "tokenizer_2": "CLIPTokenizer",
}


@dataclass(frozen=True, eq=False)
class PooledText:
    """One encoded prompt: context [1, L, D] for cross-attention, and one vector [1, P] for all of it."""

    context: Tensor
    pooled: Tensor


class SDXLPrior:
    """A frozen SDXL pipeline. The UNet runs in its own dtype; latents and gradients stay float32.

    Args:
        text_encoders, tokenizers: CLIP-L and the larger one, in this order.
        zero_empty_prompt: the empty prompt is all zeros, as in training, instead of its encoding.
    """

    recompute_encoder = False

    def __init__(
        self,
        unet,
        vae,
        text_encoders: Sequence,
        tokenizers: Sequence,
        schedule: NoiseSchedule,
        prediction_type: str = "epsilon",
        zero_empty_prompt: bool = True,
    ) -> None:
        check_network(unet, vae, prediction_type)
        self.unet, self.vae, self.text_encoders, self.tokenizers = unet, vae, text_encoders, tokenizers
        for part in (unet, vae, *text_encoders):
            part.requires_grad_(False).eval()
        self.schedule = schedule
        self.latent_channels: int = unet.config.in_channels
        self.spatial_factor = autoencoder.spatial_factor(vae)
        self._prediction_type = prediction_type
        self._zero_empty_prompt = zero_empty_prompt

    @torch.no_grad()
    def encode_prompt(self, text: str) -> PooledText:
        """Both encoders' last layer but one side by side; the pooled vector is the larger encoder's."""
        context, pooled = clip_states(self.text_encoders, self.tokenizers, text)
        if self._zero_empty_prompt and not text:
            return PooledText(torch.zeros_like(context), torch.zeros_like(pooled[-1]))
        return PooledText(context, pooled[-1])

    @torch.no_grad()
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Sequence[Sequence[PooledText]]) -> list[Tensor]:
        k, rows = len(conditions), [c for condition in conditions for c in condition]
        return list(self._predict(x_t.repeat(k, 1, 1, 1), t.repeat(k), rows).chunk(k))

    def make_adapter(self, config: LoRAConfig, seed: int) -> LoRAAdapter:
        return LoRAAdapter(
            self.unet, self._predict, network_error(self.schedule, self._prediction_type), config, seed
        )

    def _predict(self, x_t: Tensor, t: Tensor, rows: Sequence[PooledText]) -> Tensor:
        dtype = next(self.unet.parameters()).dtype
        added = {
            "text_embeds": torch.cat([c.pooled for c in rows]).to(dtype),
            "time_ids": self._picture_size(x_t).to(dtype),
        }
        context = torch.cat([c.context for c in rows]).to(dtype)
        prediction = self.unet(x_t.to(dtype), t, context, added_cond_kwargs=added).sample.float()
        return as_noise(prediction, x_t, t, self.schedule, self._prediction_type)

    def _picture_size(self, x: Tensor) -> Tensor:
        """Time ids [B, 6]: size before cropping, crop at (0, 0), size: of a picture as large as the latents."""
        height, width = (self.spatial_factor * n for n in x.shape[-2:])
        return to_device(torch.tensor([height, width, 0, 0, height, width]), x.device).expand(len(x), 6)

    def encode(self, images: Tensor) -> Tensor:
        return autoencoder.encode_images(self.vae, images, self.recompute_encoder)

    def decode(self, latents: Tensor) -> Tensor:
        return autoencoder.decode_latents(self.vae, latents)


def clip_states(text_encoders: Sequence, tokenizers: Sequence, text: str) -> tuple[Tensor, list[Tensor]]:
    """The last hidden layer but one of each CLIP encoder, side by side [1, L, sum D], and the pooled vectors."""
    states, pooled = [], []
    for encoder, tokenizer in zip(text_encoders, tokenizers, strict=True):
        ids = token_ids(tokenizer, text, encoder.config.max_position_embeddings)
        out = encoder(ids.to(next(encoder.parameters()).device), output_hidden_states=True)
        states.append(out.hidden_states[-2])
        pooled.append(out[0])  # the projection, where the encoder has one
    return torch.cat(states, -1), pooled


def build(parts: Mapping[str, Any], index: Mapping[str, Any], device: torch.device) -> SDXLPrior:
    """The prior of loaded parts, by the names of PARTS; `index` is model_index.json."""
    unet = parts["unet"].to(device)
    vae = autoencoder.to_safe_dtype(parts["vae"].to(device), unet.dtype)
    scheduler = parts["scheduler"]
    return SDXLPrior(
        unet,
        vae,
        [parts[name].to(device) for name in ("text_encoder", "text_encoder_2")],
        [parts[name] for name in ("tokenizer", "tokenizer_2")],
        noise_schedule(scheduler),
        scheduler.config.prediction_type,
        index.get("force_zeros_for_empty_prompt", True),
    )
