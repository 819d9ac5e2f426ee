"""Which of ComfyUI's models give a score that can be distilled, and why the others do not."""

from __future__ import annotations

import logging

import comfy.model_base
import comfy.model_sampling
import comfy.patcher_extension

from .distilled import distilled_refusal

logger = logging.getLogger(__name__)

# comfy's classes of models for pictures whose latents look like a video with one frame
PICTURES_WITH_FRAMES = ("QwenImage", "Anima", "Krea2", "CosmosPredict2")


def check_models(model, vae) -> None:
    """Raise ValueError if MODEL or VAE cannot be distilled; warn of settings that have no effect."""
    if model is None:
        raise ValueError("No MODEL: the loaded file has no diffusion model. Connect Load Checkpoint.")
    if vae is None or vae.first_stage_model is None:
        raise ValueError("No VAE: the loaded checkpoint has no VAE. Connect the model's VAE with Load VAE.")
    latent_format, sampling = model.get_model_object("latent_format"), model.get_model_object("model_sampling")
    kind = type(model.model).__name__
    dimensions = latent_format.latent_dimensions
    if dimensions == 3 and kind not in PICTURES_WITH_FRAMES:
        raise ValueError(
            f"{kind} makes videos: its latents have an axis of frames, and it is not one of the models that are "
            f"known to make single pictures with this axis ({', '.join(PICTURES_WITH_FRAMES)}). Connect an image "
            "model."
        )
    if dimensions not in (2, 3):
        raise ValueError(f"{kind} makes audio or shapes, not pictures. Connect an image model.")
    if vae.latent_dim not in (2, 3) or vae.output_channels != 3:
        raise ValueError("This VAE is made for audio, or for pictures that are not RGB. Connect the VAE of the model.")
    if vae.latent_dim < dimensions:
        raise ValueError(
            f"The VAE makes latents without an axis of frames, but {kind} needs one. Connect the VAE of the model."
        )
    if latent_format.latent_channels != vae.latent_channels:
        raise ValueError(
            f"The VAE makes latents of {vae.latent_channels} channels, but {kind} works on "
            f"{latent_format.latent_channels}: they do not belong together. Connect the VAE of the model."
        )
    if isinstance(model.model, (comfy.model_base.StableCascade_B, comfy.model_base.StableCascade_C)):
        raise ValueError("Stable Cascade splits the work between two models, and one alone gives no score. Use SDXL.")
    if isinstance(sampling, comfy.model_sampling.IMG_TO_IMG):
        raise ValueError(f"{kind} turns one picture into another and does not remove noise: it gives no score.")
    if getattr(sampling, "sigmas", None) is None:
        raise ValueError(f"{kind} has no table of noise levels (model_sampling.sigmas), so no timestep can be drawn.")
    if model.get_wrappers(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "easycache"):
        raise ValueError(
            "EasyCache reuses the prediction of the previous step, which here is of another view. Remove EasyCache."
        )
    refused = distilled_refusal(model)
    if refused:
        raise ValueError(refused)
    ignored = [key for key in CFG_FUNCTIONS if model.model_options.get(key)]
    if ignored:
        logger.warning(
            "Score distillation applies its own guidance to the plain predictions of the model: patches of the "
            "sampler's guidance (Rescale CFG, Perp-Neg, SAG, PAG and the like) have no effect. Ignored: %s.",
            ", ".join(ignored),
        )


CFG_FUNCTIONS = (
    "sampler_cfg_function",
    "sampler_pre_cfg_function",
    "sampler_post_cfg_function",
    "sampler_calc_cond_batch_function",
)
