"""A MODEL and a VAE as the core's prior.

The whole optimisation runs as one comfy Sampler inside a CFGGuider: that is the way in which LoRAs,
ControlNets, hooks and model patches all apply, and in which MODEL and VAE are loaded together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import comfy.model_management
import comfy.model_sampling
import comfy.samplers
import torch
from torch import Tensor

from ...tbsd_core.priors.schedule import NoiseSchedule
from .autograd import optimization_mode, own_weights
from .conditioning import ConditioningCondition, merge_samples

Result = TypeVar("Result")


class ComfyPrior:
    """The prior while its models are loaded; made by `with_prior` only."""

    def __init__(self, inner, vae, conds: dict[str, list[dict]], names: dict[int, str], model_options: dict) -> None:
        self._inner, self._vae, self._conds, self._names, self._options = inner, vae, conds, names, model_options
        self._is_flow = isinstance(inner.model_sampling, comfy.model_sampling.CONST)
        self._sigmas = usable_sigmas(inner.model_sampling)
        self.schedule = noise_schedule(self._sigmas, self._is_flow)
        self.spatial_factor: int = vae.spacial_compression_encode()
        self.latent_channels: int = inner.latent_format.latent_channels

    @torch.no_grad()
    def predict_noise(
        self,
        x_t: Tensor,  # [B, C, h, w]
        t: Tensor,  # [B] long
        conditions: Sequence[Sequence[ConditioningCondition]],  # K conditions, each a list of B
    ) -> list[Tensor]:
        """K noise predictions [B, C, h, w] float32 from one batched forward."""
        conds = [merge_samples([self._conds[self._names[id(c)]] for c in row]) for row in conditions]
        sigma = self._sigmas.to(x_t.device)[t]
        s = sigma.view(-1, 1, 1, 1)
        if self._is_flow:  # x = (1 - s) x_0 + s noise
            x = x_t * ((1 - s) ** 2 + s**2).sqrt()
            signal = 1 - s
        else:  # comfy's x = x_0 + s noise
            x = x_t * (1 + s**2).sqrt()
            signal = torch.ones_like(s)
        denoised = comfy.samplers.calc_cond_batch(self._inner, conds, x, sigma, self._options)
        return [((x - signal * x_0) / s).float() for x_0 in denoised]

    def encode(self, images: Tensor) -> Tensor:
        """Latents [B, C, h, w] of images [B, 3, H, W] in [0, 1] in the model's own scale; differentiable."""
        vae, factor = self._vae, self.spatial_factor
        if images.shape[-1] % factor or images.shape[-2] % factor:
            raise ValueError(f"Image sides must be multiples of {factor} for this VAE, got {tuple(images.shape[-2:])}.")
        own_weights(vae.first_stage_model)
        latents = vae.first_stage_model.encode(vae.process_input(images).to(vae.device, vae.vae_dtype)).float()
        return self._inner.process_latent_in(latents.to(images.device))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] of latents in the model's own scale."""
        vae = self._vae
        unscaled = self._inner.process_latent_out(latents).to(vae.device, vae.vae_dtype)
        return vae.process_output(vae.first_stage_model.decode(unscaled).float()).to(latents.device)


def usable_sigmas(model_sampling) -> Tensor:
    """Noise levels [T] of a model's timesteps; a flow model's level of pure noise has no VP counterpart."""
    sigmas = model_sampling.sigmas.detach().float().cpu().clone()
    if isinstance(model_sampling, comfy.model_sampling.CONST):
        sigmas = sigmas[sigmas < 1.0]
    return sigmas


def noise_schedule(sigmas: Tensor, is_flow: bool) -> NoiseSchedule:
    """The variance-preserving schedule with the same signal-to-noise ratios."""
    s = sigmas.double()
    a_bar = (1 - s) ** 2 / ((1 - s) ** 2 + s**2) if is_flow else 1 / (1 + s**2)
    return NoiseSchedule(a_bar.float())


class LoopSampler(comfy.samplers.Sampler):
    """Runs a function with the loaded prior where ComfyUI expects a sampling loop."""

    def __init__(self, vae, names: dict[int, str], body: Callable[[ComfyPrior], Result]) -> None:
        self.vae, self.names, self.body = vae, names, body
        self.result: Result | None = None

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ) -> Tensor:
        prior = ComfyPrior(
            model_wrap.inner_model, self.vae, model_wrap.conds, self.names, extra_args["model_options"]
        )
        self.result = self.body(prior)
        return torch.zeros_like(latent_image)


def with_prior(
    model,
    vae,
    conditions: Sequence[ConditioningCondition],
    shape: tuple[int, int, int],  # batch size, image height, image width
    body: Callable[[ComfyPrior], Result],
) -> Result:
    """Load MODEL and VAE together and run `body(prior)` with autograd on.

    Args:
        conditions: every condition that the body will ask for; ComfyUI prepares them once.
        shape: sizes of one step, from which ComfyUI estimates the memory.
    """
    if vae.latent_dim != 2:
        raise ValueError("This VAE is made for video or audio. Connect the VAE of an image model.")
    patcher = model.clone()
    patcher.set_additional_models("tbsd_vae", [vae.patcher])
    unique = list({id(c): c for c in conditions}.values())
    names = {id(c): f"tbsd_{i}" for i, c in enumerate(unique)}
    batch, height, width = shape
    factor = vae.spacial_compression_encode()
    channels = model.model.latent_format.latent_channels
    with optimization_mode():
        guider = comfy.samplers.CFGGuider(patcher)
        guider.inner_set_conds({names[id(c)]: c.entries for c in unique})
        sampler = LoopSampler(vae, names, body)
        empty = torch.zeros(batch, channels, height // factor, width // factor)
        guider.sample(empty, empty, sampler, torch.tensor([1.0, 0.0]), disable_pbar=True, seed=0)
    return sampler.result


def prior_device(model) -> torch.device:
    """Where the optimisation runs: the device on which ComfyUI loads the model."""
    return model.load_device
