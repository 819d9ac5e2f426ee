"""Random-weight models in the shapes of real ones: speed and memory do not depend on the values of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..optional import require
from ..priors.diffusers import DiffusersPrior
from ..priors.schedule import scaled_linear

VAE_SMALL = dict(block_out_channels=(32, 64, 64), layers_per_block=1)
VAE_SD = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2)


@dataclass(frozen=True)
class ModelShape:
    """Architecture of a UNet and its autoencoder, and the image size that it is made for."""

    unet: dict
    vae: dict
    size: int  # pixels of the images that go into the encoder


SHAPES: dict[str, ModelShape] = {
    # large enough that three predictions take a CPU longer than everything around them, small enough for a laptop
    "small": ModelShape(
        dict(
            block_out_channels=(192, 288, 288),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=64,
            attention_head_dim=4,
            sample_size=16,
        ),
        VAE_SMALL,
        64,
    ),
    # Stable Diffusion 1.5: 860 M parameters, 512 pixels
    "sd15": ModelShape(
        dict(block_out_channels=(320, 640, 1280, 1280), attention_head_dim=8, cross_attention_dim=768, sample_size=64),
        VAE_SD,
        512,
    ),
    # Stable Diffusion 2.1-base: 866 M parameters, 512 pixels
    "sd21": ModelShape(
        dict(
            block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20),
            cross_attention_dim=1024,
            use_linear_projection=True,
            sample_size=64,
        ),
        VAE_SD,
        512,
    ),
}


def random_prior(name: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> DiffusersPrior:
    """A prior with random weights in one of SHAPES, whose prompts are random embeddings.

    Raises:
        ValueError: no such shape.
    """
    if name not in SHAPES:
        raise ValueError(f"Unknown model shape {name!r}; choose one of {', '.join(SHAPES)}.")
    diffusers = require("diffusers")
    shape = SHAPES[name]
    n_levels = len(shape.vae["block_out_channels"])
    torch.manual_seed(0)
    with torch.device(device):
        unet = diffusers.UNet2DConditionModel(**shape.unet).to(dtype)
        vae = diffusers.AutoencoderKL(
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * n_levels,
            up_block_types=("UpDecoderBlock2D",) * n_levels,
            **shape.vae,
        ).to(dtype)
    tokens = RandomText(shape.unet["cross_attention_dim"], device, dtype)
    return DiffusersPrior(unet, vae, tokens, _tokenize, scaled_linear())


class RandomText(torch.nn.Module):
    """A text encoder that maps each token to a random vector."""

    def __init__(self, dim: int, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(256, dim, device=device, dtype=dtype)

    def forward(self, ids: Tensor) -> RandomText:
        self.last_hidden_state = self.embedding(ids)
        return self


def _tokenize(text: str) -> Tensor:
    codes = list(text.encode()[:77])
    return torch.tensor([codes + [0] * (77 - len(codes))])
