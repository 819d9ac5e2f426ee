"""Stable Diffusion 1 and 2, and models of the same shape: a UNet, an autoencoder, one text encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base import Condition, LoRAConfig, split_hints, split_views
from ..camera_tokens import CameraTokens
from ..lora import LoRAAdapter
from ..schedule import NoiseSchedule
from . import autoencoder
from .group_attention import attend_in_groups
from .parts import token_ids

PREDICTION_TYPES = ("epsilon", "v_prediction")

PARTS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "scheduler": "DDIMScheduler",
    "tokenizer": "CLIPTokenizer",
}


class DiffusersPrior:
    """UNet, autoencoder and text encoder of one pipeline, all frozen.

    Conditions are text embeddings [1, L, D]. The UNet runs in its own dtype; latents and gradients
    stay float32.

    Args:
        tokenize: maps a prompt to token ids [1, L]; may raise ValueError on words it refuses.
    """

    recompute_encoder = False

    def __init__(
        self,
        unet,
        vae,
        text_encoder,
        tokenize: Callable[[str], Tensor],
        schedule: NoiseSchedule,
        prediction_type: str = "epsilon",
    ) -> None:
        check_network(unet, vae, prediction_type)
        self.unet, self.vae, self.text_encoder = unet, vae, text_encoder
        for part in (unet, vae, text_encoder):
            part.requires_grad_(False).eval()
        self.schedule = schedule
        self.latent_channels: int = unet.config.in_channels
        self.spatial_factor = autoencoder.spatial_factor(vae)
        self._tokenize = tokenize
        self._prediction_type = prediction_type
        self._device = next(unet.parameters()).device
        self._control: Any = None
        self.hint_kind = ""
        self.control_source: tuple[str, str] | None = None  # kept by whoever attaches one
        self._cameras: CameraTokens | None = None
        self.views_per_group = 1

    @torch.no_grad()
    def encode_prompt(self, text: str) -> Condition:
        """Text embedding [1, L, D]; raises ValueError on words that the tokenizer refuses."""
        return self.text_encoder(self._tokenize(text).to(self._device)).last_hidden_state

    @torch.no_grad()
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Sequence[Sequence[Condition]]) -> list[Tensor]:
        k = len(conditions)
        rows = [c for condition in conditions for c in condition]
        return list(self._predict(x_t.repeat(k, 1, 1, 1), t.repeat(k), rows).chunk(k))

    def make_adapter(self, config: LoRAConfig, seed: int) -> LoRAAdapter:
        return LoRAAdapter(
            self.unet, self._predict, network_error(self.schedule, self._prediction_type), config, seed
        )

    def attach_control(self, control, kind: str) -> None:
        """Show Hinted conditions to this ControlNet, which replaces the previous one. Others are predicted as before.

        Args:
            control: a ControlNetModel of diffusers.
            kind: the hints that it was trained on, "depth" or "normal".

        Raises:
            ValueError: it was made for another UNet.
        """
        for name in ("in_channels", "cross_attention_dim", "block_out_channels", "layers_per_block"):
            ours, its = (list(x) if isinstance(x := c[name], tuple) else x for c in (self.unet.config, control.config))
            if ours != its:
                raise ValueError(
                    f"This ControlNet belongs to another model: {name} is {its}, and {ours} in the UNet. Use one that "
                    "was trained for this family, such as one for Stable Diffusion 1.5 with Stable Diffusion 1.5."
                )
        self._control = control.to(self._device).requires_grad_(False).eval()
        self.hint_kind = kind

    def attach_cameras(self, tokens: CameraTokens, views_per_group: int) -> None:
        """Tell Viewed conditions' cameras to the UNet, which was fine-tuned for these tokens, and let it see their
        samples in groups; other conditions are predicted as before."""
        attend_in_groups(self.unet)
        self._cameras = tokens.to(self._device).requires_grad_(False).eval()
        self.views_per_group = views_per_group

    @torch.no_grad()
    def _residuals(
        self, x_t: Tensor, t: Tensor, context: Tensor, hints: Tensor | None, strength: float
    ) -> dict[str, Any]:
        """The ControlNet's additions to the UNet's activations, as its arguments; none without hints."""
        if hints is None:
            return {}
        if self._control is None:
            raise ValueError("The conditions have hints, and this prior has no ControlNet: attach_control first.")
        side = x_t.shape[-1] * 2 ** (len(self._control.config.conditioning_embedding_out_channels) - 1)
        if hints.shape[-1] != side:
            hints = F.interpolate(hints, size=(side, side), mode="bilinear", antialias=True)
        own = self._control.dtype
        down, middle = self._control(x_t.to(own), t, context.to(own), hints.to(own), strength, return_dict=False)
        down, middle = [x.to(x_t.dtype) for x in down], middle.to(x_t.dtype)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}

    def _predict(self, x_t: Tensor, t: Tensor, rows: Sequence[Condition]) -> Tensor:
        rows, angles = split_views(rows, self.views_per_group)
        conditions, hints, strength = split_hints(rows)
        dtype = next(self.unet.parameters()).dtype
        context, x = torch.cat(conditions).to(dtype), x_t.to(dtype)
        more = self._residuals(x, t, context, hints, strength)
        if angles is not None:
            if self._cameras is None:
                raise ValueError("The conditions have cameras, and this prior knows none: attach_cameras first.")
            tokens = self._cameras(*(a.to(x.device) for a in angles))
            context = torch.cat([context, tokens.to(dtype)], 1)
            more |= {"cross_attention_kwargs": {"views": self.views_per_group}}
        prediction = self.unet(x, t, context, **more).sample.float()
        return as_noise(prediction, x_t, t, self.schedule, self._prediction_type)

    def encode(self, images: Tensor) -> Tensor:
        return autoencoder.encode_images(self.vae, images, self.recompute_encoder)

    def decode(self, latents: Tensor) -> Tensor:
        return autoencoder.decode_latents(self.vae, latents)


def as_noise(prediction: Tensor, x_t: Tensor, t: Tensor, schedule: NoiseSchedule, prediction_type: str) -> Tensor:
    """The noise [B, C, h, w] that a network's output stands for."""
    return prediction if prediction_type == "epsilon" else schedule.noise_of_velocity(x_t, prediction, t)


def network_error(schedule: NoiseSchedule, prediction_type: str) -> Callable[[Tensor], Tensor]:
    """Weight [B] by timestep [B] that turns the squared error of the noise into the error of the network's own
    prediction.

    At one x_t, alpha_t (v_pred - v) = eps_pred - eps.
    """
    if prediction_type == "epsilon":
        return lambda t: torch.ones(len(t), device=t.device)
    return lambda t: 1 / schedule.at(t)


def check_network(unet, vae, prediction_type: str) -> None:
    """Raise ValueError for networks that predict or take something else than noised latents."""
    if prediction_type not in PREDICTION_TYPES:
        raise ValueError(f"prediction_type must be one of {PREDICTION_TYPES}, got {prediction_type!r}.")
    if unet.config.in_channels != vae.config.latent_channels:
        raise ValueError(
            f"The UNet takes {unet.config.in_channels} channels and the autoencoder makes "
            f"{vae.config.latent_channels}: this is an inpainting or editing model. Use a text-to-image model."
        )


def noise_schedule(scheduler) -> NoiseSchedule:
    """The schedule of a diffusers scheduler's betas, without a last level that has no signal left."""
    a_bar = scheduler.alphas_cumprod.float()
    return NoiseSchedule(a_bar[a_bar > 0])


def build(
    parts: Mapping[str, Any],  # loaded, by the names of PARTS; the tokenizer only where `tokenize` is None
    index: Mapping[str, Any],  # model_index.json
    device: torch.device,
    tokenize: Callable[[str], Tensor] | None = None,
) -> DiffusersPrior:
    """The prior of loaded parts."""
    unet, vae, text_encoder = (parts[name].to(device) for name in ("unet", "vae", "text_encoder"))
    vae = autoencoder.to_safe_dtype(vae, unet.dtype)
    if tokenize is None:
        tokenize = partial(token_ids, parts["tokenizer"], length=text_encoder.config.max_position_embeddings)
    scheduler = parts["scheduler"]
    return DiffusersPrior(
        unet, vae, text_encoder, tokenize, noise_schedule(scheduler), scheduler.config.prediction_type
    )
