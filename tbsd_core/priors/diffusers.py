"""A Stable-Diffusion-shaped pipeline of `diffusers` parts as a prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..optional import require
from .base import Condition
from .schedule import NoiseSchedule

PREDICTION_TYPES = ("epsilon", "v_prediction")


class DiffusersPrior:
    """UNet, autoencoder and text encoder of one pipeline, all frozen.

    Conditions are text embeddings [1, L, D]. The UNet runs in its own dtype; latents and gradients
    stay float32.

    Args:
        tokenize: maps a prompt to token ids [1, L]; may raise ValueError on words it refuses.
    """

    def __init__(
        self,
        unet,
        vae,
        text_encoder,
        tokenize: Callable[[str], Tensor],
        schedule: NoiseSchedule,
        prediction_type: str = "epsilon",
    ) -> None:
        if prediction_type not in PREDICTION_TYPES:
            raise ValueError(f"prediction_type must be one of {PREDICTION_TYPES}, got {prediction_type!r}.")
        self.unet, self.vae, self.text_encoder = unet, vae, text_encoder
        for part in (unet, vae, text_encoder):
            part.requires_grad_(False).eval()
        self.schedule = schedule
        self.latent_channels: int = unet.config.in_channels
        self.spatial_factor: int = 2 ** (len(vae.config.block_out_channels) - 1)
        self._tokenize = tokenize
        self._prediction_type = prediction_type
        self._device = next(unet.parameters()).device

    @torch.no_grad()
    def encode_prompt(self, text: str) -> Condition:
        """Text embedding [1, L, D]; raises ValueError on words that the tokenizer refuses."""
        return self.text_encoder(self._tokenize(text).to(self._device)).last_hidden_state

    @torch.no_grad()
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Sequence[Sequence[Condition]]) -> list[Tensor]:
        k = len(conditions)
        context = torch.cat([c for condition in conditions for c in condition])
        dtype = next(self.unet.parameters()).dtype
        x, steps = x_t.detach().repeat(k, 1, 1, 1), t.repeat(k)
        prediction = self.unet(x.to(dtype), steps, context.to(dtype)).sample.float()
        if self._prediction_type == "v_prediction":
            alpha_t, sigma_t = self.schedule.alpha_sigma(steps)
            prediction = alpha_t * prediction + sigma_t * x
        return list(prediction.chunk(k))

    def encode(self, images: Tensor) -> Tensor:
        weight = next(self.vae.parameters())
        moments = self.vae.encode((images * 2 - 1).to(weight.dtype)).latent_dist.mean
        return moments.float() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        weight = next(self.vae.parameters())
        images = self.vae.decode((latents / self.vae.config.scaling_factor).to(weight.dtype)).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)


def load_diffusers_prior(
    folder: Path,
    tokenize: Callable[[str], Tensor] | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> DiffusersPrior:
    """Read a local pipeline folder (unet/, vae/, text_encoder/, tokenizer/, scheduler/). Never uses the network.

    Raises:
        FileNotFoundError: the folder lacks one of the parts.
        ImportError: diffusers or transformers is missing, with the pip line.
    """
    missing = [p for p in ("unet", "vae", "text_encoder", "scheduler") if not (folder / p).is_dir()]
    if missing:
        raise FileNotFoundError(f"{folder} is not a diffusers pipeline: it lacks {', '.join(missing)}/.")
    diffusers, transformers = require("diffusers"), require("transformers")
    # the low-memory path wants the accelerate package and prints an appeal to install it
    local = dict(local_files_only=True, torch_dtype=dtype, low_cpu_mem_usage=False)
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", **local).to(device)
    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae", **local).to(device)
    text_encoder = transformers.CLIPTextModel.from_pretrained(
        folder / "text_encoder", local_files_only=True, dtype=dtype
    ).to(device)
    scheduler = diffusers.DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    if tokenize is None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)

        def tokenize(text: str) -> Tensor:
            return tokenizer(text, padding="max_length", truncation=True, return_tensors="pt").input_ids

    schedule = NoiseSchedule(scheduler.alphas_cumprod.float())
    return DiffusersPrior(unet, vae, text_encoder, tokenize, schedule, scheduler.config.prediction_type)


@torch.no_grad()
def sample_ddim(
    prior,
    prompts: Sequence[str],
    guidance_scale: float = 3.0,
    n_steps: int = 30,
    seed: int = 0,
    negative_prompt: str = "",
    latent_size: int = 16,
) -> Tensor:
    """Plain DDIM samples of any TextPrior, one image [B, 3, H, W] per prompt: to see what a prior knows.

    Classifier-free guidance eps_uncond + guidance_scale (eps_cond - eps_uncond), arXiv:2207.12598.
    """
    generator = torch.Generator().manual_seed(seed)
    schedule = prior.schedule
    x = torch.randn(len(prompts), prior.latent_channels, latent_size, latent_size, generator=generator)
    cond = [prior.encode_prompt(p) for p in prompts]
    uncond = [prior.encode_prompt(negative_prompt)] * len(prompts)
    times = torch.linspace(schedule.n_timesteps - 1, 0, n_steps + 1).round().long()
    denoised = x
    for now, then in zip(times[:-1], times[1:], strict=True):
        t = now.expand(len(prompts))
        eps_cond, eps_uncond = prior.predict_noise(x, t, [cond, uncond])
        eps = eps_uncond + guidance_scale * (eps_cond - eps_uncond)
        denoised = schedule.denoise(x, eps, t)
        x = schedule.add_noise(denoised, eps, then.expand(len(prompts)))
    return prior.decode(denoised)
