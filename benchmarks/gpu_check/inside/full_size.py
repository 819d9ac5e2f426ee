"""Weights of real models' shapes, random, as files that the host's own loaders read. Import it after `main`.

The cut-down shape for a quick check is one that the host still takes for the same model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher as patchers
import comfy.ops
import comfy.sd
import comfy.utils
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from safetensors.torch import save_file

UNET = dict(
    image_size=32,
    in_channels=4,
    out_channels=4,
    model_channels=320,
    use_spatial_transformer=True,
    legacy=False,
)
SD15 = dict(
    **UNET,
    num_res_blocks=[2, 2, 2, 2],
    channel_mult=[1, 2, 4, 4],
    transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
    transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    transformer_depth_middle=1,
    context_dim=768,
    num_heads=8,
)
SDXL = dict(
    **UNET,
    num_res_blocks=[2, 2, 2],
    channel_mult=[1, 2, 4],
    transformer_depth=[0, 0, 2, 2, 10, 10],
    transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10],
    transformer_depth_middle=10,
    context_dim=2048,
    num_head_channels=64,
    use_linear_in_transformer=True,
    num_classes="sequential",
    adm_in_channels=2816,
)
SD3 = dict(
    in_channels=16,
    depth=24,
    input_size=None,
    adm_in_channels=2048,
    num_patches=192 * 192,
    pos_embed_max_size=192,
    context_embedder_config={"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 1536}},
)
SD3_CUT = {
    **SD3,
    "depth": 2,
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 128}},
}
# network, its shape and the shape for a quick check; widths of the text and of the pooled embedding; latent channels
SHAPES = {
    "sd15": (UNetModel, SD15, SD15, 768, 768, 4),
    "sdxl": (UNetModel, SDXL, SDXL, 2048, 1280, 4),
    "sd3": (MMDiT, SD3, SD3_CUT, 4096, 2048, 16),
}
# older hosts have no dynamic VRAM
MEMORY: Any = import_module("comfy.memory_management") if find_spec("comfy.memory_management") else None
AUTOENCODER = dict(double_z=True, resolution=256, in_channels=3, out_ch=3, ch=128, ch_mult=[1, 2, 4, 4])
AUTOENCODER |= dict(num_res_blocks=2, attn_resolutions=[], dropout=0.0)


@contextmanager
def static() -> Iterator[None]:
    """Models that are made inside are not dynamic."""
    if MEMORY is None or not MEMORY.aimdo_enabled:
        yield
        return
    kind = patchers.CoreModelPatcher
    MEMORY.aimdo_enabled, patchers.CoreModelPatcher = False, patchers.ModelPatcher
    try:
        yield
    finally:
        MEMORY.aimdo_enabled, patchers.CoreModelPatcher = True, kind


def random_weights(template: torch.nn.Module, dtype: torch.dtype, seed: int) -> dict[str, torch.Tensor]:
    """Random weights on the CPU for a module on the meta device, with norms near the identity."""
    device = mm.get_torch_device()
    generator = torch.Generator(device).manual_seed(seed)
    weights = {}
    for name, like in template.state_dict().items():
        noise = torch.randn(like.shape, generator=generator, device=device)
        is_gain = like.ndim == 1 and name.endswith(("weight", "scale"))
        fan = max(like[0].numel(), 1) if like.ndim > 1 else 1
        noise = 1 + 0.1 * noise if is_gain else 0.02 * noise if like.ndim == 1 else noise / fan**0.5
        weights[name] = noise.to(dtype).cpu().contiguous()
    return weights


def network_file(folder: Path, name: str, dtype: torch.dtype, quick: bool) -> Path:
    """The file of a network's weights; made if it is not there."""
    path = folder / f"{name}-{str(dtype).removeprefix('torch.')}.safetensors"
    if not path.exists():
        kind, shape, cut, *_ = SHAPES[name]
        with static():
            config = cut if quick else shape
            network = kind(**config, dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init)
            write(random_weights(network, dtype, 0), path)
    return path


def autoencoder_file(folder: Path, channels: int) -> Path:
    """The file of an autoencoder's weights, in float32 as such files are; the ones of SD 3 have no quant_conv."""
    path = folder / f"autoencoder-{channels}.safetensors"
    if not path.exists():
        with static(), torch.device("meta"):
            network = AutoencoderKL(ddconfig={**AUTOENCODER, "z_channels": channels}, embed_dim=channels)
        weights = random_weights(network, torch.float32, 1)
        write({k: w for k, w in weights.items() if channels == 4 or "quant_conv" not in k}, path)
    return path


def write(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Whole or not at all: the process may be killed."""
    save_file(weights, str(path.with_suffix(".part")))
    path.with_suffix(".part").rename(path)


def read(path: Path) -> dict[str, torch.Tensor]:
    """The weights as the host reads them, under dynamic VRAM as slices of the file."""
    return comfy.utils.load_torch_file(str(path))


def plain_encoder(path: Path, channels: int, device: torch.device, dtype: torch.dtype):
    """The encoder as torch alone computes it: images in [-1, 1] to latents."""
    with static():
        network = AutoencoderKL(ddconfig={**AUTOENCODER, "z_channels": channels}, embed_dim=channels)
        weights = read(path)
    network.load_state_dict(weights, strict=False)
    network.to(device, dtype).requires_grad_(False).eval()
    has_quant = "quant_conv.weight" in weights

    def encode(images: torch.Tensor) -> torch.Tensor:
        moments = network.encoder(images.to(dtype))
        return (network.quant_conv(moments) if has_quant else moments).chunk(2, 1)[0].float()

    return encode


def load_network(path: Path, dtype: torch.dtype):
    """A MODEL as Load Diffusion Model makes it."""
    return comfy.sd.load_diffusion_model_state_dict(read(path), {"dtype": dtype})


def load_autoencoder(path: Path, dtype: torch.dtype):
    """A VAE as Load VAE makes it."""
    return comfy.sd.VAE(sd=read(path), dtype=dtype)


def plain_network(path: Path, dtype: torch.dtype):
    """A MODEL all of whose weights are on the device from the start, so that the host has nothing to move."""
    device = mm.get_torch_device()
    with static():
        loaded = load_network(path, dtype)
        return patchers.ModelPatcher(loaded.model.to(device), device, device)
