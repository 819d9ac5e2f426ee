"""A VAE as a differentiable encoder, in a dtype that does not overflow and in the memory there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import comfy.model_management
import comfy.ops
import comfy.taesd.taesd
import torch
from comfy.ldm.modules.diffusionmodules.model import AttnBlock, ResnetBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .autograd import own_weights

BLOCKS = (ResnetBlock, AttnBlock, comfy.taesd.taesd.Block)  # what is worth running twice
# What a gradient needs over comfy's estimate for encoding alone. The KL VAE of Stable Diffusion at 256 x 256
# in float32: estimate 0.44 GB, held until backward 0.76 GB, peak 0.95 GB; with blocks computed again 0.61 GB.
GRADIENT_MEMORY = 2.5


def encode(
    vae,
    images: Tensor,  # [B, 3, H, W] in [0, 1]
) -> Tensor:
    """Latents [B, C, h, w] float32 as the VAE makes them (before the model's scaling); differentiable.

    Runs in the VAE's own dtype, except that float16 weights are cast to float32 layer by layer: the
    encoder of SDXL overflows in float16. The VAE itself stays as it is for other nodes. Where the free
    memory does not hold what backward needs, the blocks are computed again there: the same gradient
    for about a third more time.

    Raises:
        ValueError: the sides are not multiples of the VAE's factor.
    """
    factor = vae.spacial_compression_encode()
    if images.shape[-1] % factor or images.shape[-2] % factor:
        raise ValueError(f"Image sides must be multiples of {factor} for this VAE, got {tuple(images.shape[-2:])}.")
    module, dtype = vae.first_stage_model, working_dtype(vae)
    own_weights(module)
    pixels = vae.process_input(images).to(vae.device, dtype)
    needed = encoding_memory(vae, (len(images), *images.shape[-2:]))
    is_tight = needed > comfy.model_management.get_free_memory(vae.device)
    with weights_cast(module, dtype), recomputed(module, dtype) if is_tight else nullcontext():
        latents = module.encode(pixels)
    return latents.float().to(images.device)


@torch.no_grad()
def decode(
    vae,
    latents: Tensor,  # [B, C, h, w] as the VAE makes them
) -> Tensor:
    """Images [B, 3, H, W] in [0, 1]; float16 weights are cast as in `encode`."""
    module, dtype = vae.first_stage_model, working_dtype(vae)
    with weights_cast(module, dtype):
        images = module.decode(latents.to(vae.device, dtype))
    return vae.process_output(images.float()).to(latents.device)


def encoding_memory(vae, shape: tuple[int, int, int]) -> float:
    """Bytes that encoding `shape` (batch size, height, width) takes with what backward needs of it."""
    batch, height, width = shape
    return GRADIENT_MEMORY * batch * vae.memory_used_encode((1, 3, height, width), working_dtype(vae))


def working_dtype(vae) -> torch.dtype:
    """The VAE's dtype; float32 in the place of float16, which ComfyUI picks under --fp16-vae and for few VAEs."""
    return torch.float32 if vae.vae_dtype == torch.float16 else vae.vae_dtype


@contextmanager
def weights_cast(module: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside, comfy's layers cast their weights to the dtype of their input, if that is another one."""
    layers = [
        part
        for part in module.modules()
        if isinstance(part, comfy.ops.CastWeightBiasOp)
        and not part.comfy_cast_weights
        and any(w is not None and w.dtype != dtype for w in part._parameters.values())
    ]
    for layer in layers:
        layer.comfy_cast_weights = True
    try:
        yield
    finally:
        for layer in layers:
            layer.comfy_cast_weights = False


@contextmanager
def recomputed(module: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside, the blocks of an encoder keep their input alone; backward computes the rest again."""

    def twice(block: nn.Module) -> Callable[..., Tensor]:
        forward = block.forward

        def run(*inputs):
            with weights_cast(block, dtype):  # backward comes after the outer contexts
                return forward(*inputs)

        return lambda *inputs: checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False)

    blocks = [part for part in module.modules() if isinstance(part, BLOCKS) and "forward" not in vars(part)]
    for block in blocks:
        block.forward = twice(block)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
