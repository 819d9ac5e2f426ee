"""IMAGE as the start of a scene of pictures, in pixels or in a model's latents."""

from __future__ import annotations

from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ....tbsd_core.scenes import Scene
from ....tbsd_core.scenes.picture_start import scene_of_latents, scene_of_pictures
from ..autoencoder import without_frames
from ..autograd import optimization_mode


def squares(image: Tensor, size: int) -> Tensor:
    """IMAGE [B, H, W, C] as [B, 3, size, size]: the middle square of each."""
    channels = image[..., :3].movedim(-1, 1).float()
    return comfy.utils.common_upscale(channels, size, size, "bicubic", "center").clamp(0, 1)


def picture_scene(image: Tensor, config: Any, size: int, vae: Any = None, model: Any = None) -> Scene:
    """A scene that starts from pictures: pixels or, with a VAE, its latents in the scale of the model.

    Raises:
        ValueError: there is a VAE and no model.
    """
    pictures = squares(image, size)
    if vae is None:
        with optimization_mode():
            return scene_of_pictures(pictures.clone(), config)
    if model is None:
        raise ValueError(
            "An image and a vae need the model as well, for the scale of its latents: connect model. Or leave out the "
            "vae, to optimise pixels."
        )
    # one by one: a VAE that knows frames takes a batch for a video
    encoded = torch.cat([vae.encode(picture[None]) for picture in pictures.movedim(1, -1)])
    latents = without_frames(model.get_model_object("latent_format").process_in(encoded.float().cpu()))
    with optimization_mode():
        return scene_of_latents(latents.clone(), config)
