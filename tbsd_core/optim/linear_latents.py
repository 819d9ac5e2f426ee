"""Latents straight from colours, without the encoder, for the first part of a 3D run."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..priors.base import Prior
from ..rng import named_generator

ENCODED_PIXELS = 2**18  # at once: one picture of 512 pixels, which takes 0.5 to 1 GB


class LinearLatents:
    """Latents as an affine function of colour: rendered pixels become latent cells without the prior's encoder.

    Latents of natural pictures are nearly that (Latent-NeRF, arXiv:2211.07600, Section 3.3, has the map from latents
    to colours for Stable Diffusion). Ours is fitted to the prior at hand, in the other direction, so
    that the scene is made of colours from the first step on and nothing has to be converted later.
    """

    N_IMAGES = 16

    def __init__(self, prior: Prior, size: int, device: torch.device) -> None:
        """Fit it on soft random pictures of `size` pixels; the same ones each time."""
        generator = named_generator(0, "linear latents")
        images = torch.zeros(self.N_IMAGES, 3, size, size)
        for level in (1, 2, 4, 8):  # colour at all scales that a latent cell can show
            noise = torch.rand(self.N_IMAGES, 3, level + 1, level + 1, generator=generator)
            images += F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=True) / 4
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        images = ((images - low) / (high - low)).to(device)
        at_once = max(1, ENCODED_PIXELS // size**2)
        with torch.no_grad():
            latents = torch.cat([prior.encode(part).float() for part in images.split(at_once)])
        height, width = latents.shape[-2:]
        cells = F.adaptive_avg_pool2d(images, (height, width)).movedim(1, -1).reshape(-1, 3)
        inputs = torch.cat([cells, torch.ones_like(cells[:, :1])], -1).cpu().double()
        wanted = latents.movedim(1, -1).reshape(len(inputs), -1).cpu().double()
        solution = torch.linalg.lstsq(inputs, wanted).solution
        rest = (wanted - inputs @ solution).square().sum() / (wanted - wanted.mean(0)).square().sum()
        self.explained = float(1 - rest)  # share of the latents' variance, at most 1
        self.matrix, self.offset = solution[:3].float().to(device), solution[3].float().to(device)

    def __call__(self, cells: Tensor) -> Tensor:
        """Latents [B, C, h, w] of colours [B, 3, h, w] in [0, 1]."""
        return torch.einsum("bihw,ic->bchw", cells, self.matrix) + self.offset[:, None, None]
