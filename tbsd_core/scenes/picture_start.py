"""Scenes of pictures that start from pictures that are there."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .image import GAIN, ImageConfig, ImageScene
from .kept import with_original
from .latent import LatentImageConfig, LatentImageScene

EDGE = 0.002  # pixels keep this distance from black and white: at the ends of a sigmoid no gradient is left


@torch.no_grad()
def scene_of_pictures(
    images: Tensor,  # [B, 3, size, size] in [0, 1]
    config: ImageConfig,
) -> ImageScene:
    """Their pixels. There are as many pictures as images, whatever the configuration says."""
    scene = ImageScene(replace(config, n_images=len(images)))
    if images.shape[1:] != scene.pixels.shape[1:]:
        wanted = ", ".join(map(str, scene.pixels.shape[1:]))
        raise ValueError(f"images must be [B, {wanted}], got {list(images.shape)}.")
    scene.pixels.copy_(torch.logit(images, eps=EDGE) / GAIN)
    scene.attach(with_original(scene, images.detach().cpu().float().clone()))
    return scene


@torch.no_grad()
def scene_of_latents(
    latents: Tensor,  # [B, channels, size, size] in the prior's own scale
    config: LatentImageConfig,
) -> LatentImageScene:
    """The latents as they are; the scene has as many pictures."""
    scene = LatentImageScene(replace(config, n_images=len(latents)))
    if latents.shape[1:] != scene.latents.shape[1:]:
        wanted = ", ".join(map(str, scene.latents.shape[1:]))
        raise ValueError(f"latents must be [B, {wanted}], got {list(latents.shape)}.")
    scene.latents.copy_(latents)
    return scene
