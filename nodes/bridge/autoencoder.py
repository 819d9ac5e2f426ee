"""A VAE as a differentiable encoder, in a dtype that does not overflow and in the memory there is."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import comfy.taesd.taesd
import torch
from comfy.ldm.modules.diffusionmodules.model import AttnBlock, ResnetBlock
from torch import Tensor

from ...tbsd_core.priors.derivative import accuracy, derivative_error
from ...tbsd_core.priors.recompute import recomputed
from .compat import available_memory, training
from .resident import resident_module

BLOCKS = (ResnetBlock, AttnBlock, comfy.taesd.taesd.Block)  # the classes of blocks that are worth computing twice
# The need of a gradient over comfy's estimate for encoding alone, so that it equals the plan's measure with its margin
# (experiment.plan; a test holds the two together). The KL VAE of Stable Diffusion at 256 x 256 in float32: estimate
# 0.44 GB, held until backward 0.76 GB, peak 0.95 GB.
GRADIENT_MEMORY = 2.5
RECOMPUTED = 0.4  # of that with blocks computed again; 0.38 of the tensors, `python -m benchmarks.real_models`
CHECKED_PIXELS = 64


class Autoencoder:
    """A VAE for the time of a run: a copy of its network whose weights stay where they are.

    It runs in the VAE's own dtype, except that float16 weights are copied as float32: the encoder of SDXL
    overflows in float16. The VAE itself stays as it is for other nodes.

    Args:
        has_frames: whether the latents of the model have an axis of frames; it is one frame long inside and not
            there outside.
    """

    def __init__(self, vae, has_frames: bool = False) -> None:
        self.vae, self.dtype, self.has_frames = vae, working_dtype(vae), has_frames
        self.module: Any = resident_module(vae.patcher, vae.device, self.dtype)  # comfy's, with encode and decode
        self.spatial_factor: int = vae.spacial_compression_encode()
        self.recompute = False  # wanted whatever the memory
        self._is_checked = False

    def encode(
        self,
        images: Tensor,  # [B, 3, H, W] in [0, 1]
    ) -> Tensor:
        """Latents [B, C, h, w] float32 as the VAE makes them (before the model's scaling); differentiable.

        If the free memory does not hold what backward needs, it computes the blocks again: the same gradient for about
        a third more time. The first gradient of a run is checked.

        Raises:
            ValueError: the sides are not multiples of the VAE's factor.
            RuntimeError: the gradient is not the encoder's gradient.
        """
        if images.shape[-1] % self.spatial_factor or images.shape[-2] % self.spatial_factor:
            raise ValueError(
                f"Image sides must be multiples of {self.spatial_factor} for this VAE, got {tuple(images.shape[-2:])}."
            )
        if images.requires_grad and torch.is_grad_enabled() and not self._is_checked:
            self._is_checked = True
            self.check_gradient()
        height, width = images.shape[-2:]
        needed = encoding_memory(self.vae, (len(images), height, width))
        again = self.recompute or needed > available_memory(self.vae.patcher, self.vae.device)
        blocks = (part for part in self.module.modules() if isinstance(part, BLOCKS))
        with recomputed(blocks, training) if again and torch.is_grad_enabled() else nullcontext():
            return self._encode(images)

    def _encode(self, images: Tensor) -> Tensor:
        pixels = self.vae.process_input(images).to(self.vae.device, self.dtype)
        with training() if torch.is_grad_enabled() else nullcontext():
            latents = self.module.encode(pixels[:, :, None] if self.vae.latent_dim == 3 else pixels)
        return without_frames(latents).float().to(images.device)

    @torch.no_grad()
    def decode(
        self,
        latents: Tensor,  # [B, C, h, w] as the VAE makes them
    ) -> Tensor:
        """Images [B, 3, H, W] in [0, 1], as many at a time as the free memory holds."""
        cells = (1, *latents.shape[1:2], *([1] if self.has_frames else []), *latents.shape[2:])
        free = available_memory(self.vae.patcher, self.vae.device)
        at_once = max(1, int(free / self.vae.memory_used_decode(cells, self.dtype)))
        return torch.cat([self._decode(part) for part in latents.split(at_once)])

    def _decode(self, latents: Tensor) -> Tensor:
        z = latents.to(self.vae.device, self.dtype)
        images = without_frames(self.module.decode(z[:, :, None] if self.has_frames else z))
        return self.vae.process_output(images.float()).to(latents.device)

    def check_gradient(self) -> None:
        """Compare one derivative of the encoder with finite differences, some milliseconds on a GPU.

        Raises:
            RuntimeError: they differ by more than the dtype's rounding explains.
        """
        side = -(-CHECKED_PIXELS // self.spatial_factor) * self.spatial_factor
        noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        at = noise.to(self.vae.device) * 0.5 + 0.25
        asked = accuracy(self.dtype)
        error = derivative_error(lambda x: self._encode(x[0]), [at], asked)
        if not error <= asked.tolerance:
            raise RuntimeError(
                "The gradient of this VAE is wrong: its derivatives by autograd and by finite differences differ "
                f"by {100 * error:.0f} % in {str(self.dtype).removeprefix('torch.')}, at most "
                f"{100 * asked.tolerance:.0f} % is rounding. Nothing was optimised. Something moves or replaces "
                "the VAE's weights while it runs (a memory manager, a patch, another custom node). Try ComfyUI "
                "with --disable-dynamic-vram, another VAE file, or without the node that patches the VAE; please "
                "report it."
            )


def without_frames(pictures: Tensor) -> Tensor:
    """[B, C, H, W] of pictures that may have an axis of frames of length one."""
    return pictures[:, :, 0] if pictures.ndim == 5 else pictures


def encoding_memory(vae, shape: tuple[int, int, int], again: bool = False) -> float:
    """Bytes that encoding `shape` (batch size, height, width) takes, with its backward pass.

    Args:
        again: where backward computes the blocks again.
    """
    batch, height, width = shape
    frames = (1,) if vae.latent_dim == 3 else ()
    one = vae.memory_used_encode((1, 3, *frames, height, width), working_dtype(vae))
    return (RECOMPUTED if again else 1.0) * GRADIENT_MEMORY * batch * one


def weights_memory(vae) -> float:
    """Bytes of the copy of the VAE's weights."""
    return sum(p.numel() for p in vae.first_stage_model.parameters()) * working_dtype(vae).itemsize


def working_dtype(vae) -> torch.dtype:
    """The VAE's dtype; float32 instead of float16, which ComfyUI picks under --fp16-vae and for few VAEs."""
    return torch.float32 if vae.vae_dtype == torch.float16 else vae.vae_dtype
