"""Shape from the low frequencies of its direction, texture from the high ones of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import BalanceConfig


def low_pass(
    grad: Tensor,  # [B, C, h, w]
    cutoff: float,  # in cycles per cell, where the amplitude is half; in (0, 0.5]
) -> Tensor:
    """The low frequencies [B, C, h, w] by a Gaussian filter, with mirrored edges, because the edges of a picture do not
    meet."""
    height, width = grad.shape[-2:]
    mirrored = torch.cat([grad, grad.flip(-1)], -1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], -2)
    rows = torch.fft.fftfreq(2 * height, device=grad.device).view(-1, 1)
    columns = torch.fft.rfftfreq(2 * width, device=grad.device)
    transfer = 0.5 ** ((rows**2 + columns**2) / cutoff**2)
    spectrum = torch.fft.rfft2(mirrored.float()) * transfer
    return torch.fft.irfft2(spectrum, s=mirrored.shape[-2:])[..., :height, :width]


class Band:
    """low(g_shape) + (g_texture - low(g_texture)), with the half-amplitude frequency `cutoff`. Ours.

    Shape decides coarse structure and texture fine structure, so the two cannot contradict each other.
    """

    summary = "low frequencies from shape, high frequencies from texture"

    def __init__(self, config: BalanceConfig | None = None) -> None:
        self.config = config or BalanceConfig()

    def active(self, progress: float) -> tuple[bool, bool]:
        return True, True

    def filter(self, grad_shape: Tensor, grad_texture: Tensor) -> tuple[Tensor, Tensor]:
        cutoff = self.config.cutoff
        return low_pass(grad_shape, cutoff), grad_texture - low_pass(grad_texture, cutoff)

    def __call__(self, grad_shape: Tensor, grad_texture: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        ones = torch.ones(len(grad_shape), device=grad_shape.device)
        return ones, ones
