"""Train the learned prior from nothing: `python -m tbsd_core.priors.small_world.train --out DIR`.

Stable Diffusion in miniature, in its own three steps: a KL autoencoder on random crops, its latents
cached once, then UNet and text encoder together on captions that say some true things about an image. Writes fp16
safetensors in diffusers layout; quantized.py makes the files that ship from them. About an hour on 2 CPU cores, minutes
on a GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .captions import sample_caption
from .dataset import Dataset, build_dataset
from .tokenizer import MAX_LENGTH, load_tokenizer, tokenize, write_tokenizer

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel

logger = logging.getLogger(__name__)

BETA_START, BETA_END = 0.00085, 0.012  # Stable Diffusion's schedule


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    n_views: int = 320  # random views per object
    vae_steps: int = 1600
    vae_batch: int = 32  # crops of 32 pixels
    vae_lr: float = 2e-3
    kl_weight: float = 1e-4  # on the mean KL per latent element
    unet_steps: int = 6500
    unet_batch: int = 64
    unet_lr: float = 1e-3
    max_minutes: float = math.inf  # for the UNet; the cosine then ends with the time
    snr_gamma: float = 5.0  # min-SNR weighting at low noise (arXiv:2303.09556)
    high_noise_gain: float = 4.0  # weight at high noise, where the pose is decided; 1 for none
    ema: float = 0.999
    seed: int = 0
    device: str = "cpu"


def make_vae() -> Any:  # an AutoencoderKL: what diffusers writes about its `to` and `encode` does not hold
    """An untrained autoencoder: 64 x 64 pixels to 4 channels of 16 x 16."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        # diffusers writes tuple[int], a tuple of one, where it takes one of any length
        block_out_channels=(32, 64, 64),  # type: ignore[reportArgumentType]  # of 32s: ComfyUI's GroupNorm is fixed
        down_block_types=("DownEncoderBlock2D",) * 3,  # type: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * 3,  # type: ignore[reportArgumentType]
        layers_per_block=1,
        sample_size=64,
    )


def make_text_encoder(tokenizer) -> CLIPTextModel:
    """An untrained CLIP text model for the words of a tokenizer."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=MAX_LENGTH,
        hidden_act="quick_gelu",
        projection_dim=64,
    )
    return CLIPTextModel(config)


def make_unet() -> UNet2DConditionModel:
    """An untrained UNet on those latents and the text encoder's 64 channels."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96, 96),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=4,  # number of heads (diffusers keeps Stable Diffusion's misnomer)
    )


def make_scheduler() -> DDIMScheduler:
    """The sampler that is saved beside the networks; it carries the schedule they were trained on."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def cosine_lr(progress: float, step: int, warmup: int = 200) -> float:
    """Learning rate factor: linear warm-up, then a cosine to 2 percent."""
    return min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def loss_weight(a_bar: Tensor, config: TrainConfig) -> Tensor:
    """Weight of the squared error of eps at cumulative alphas `a_bar`.

    min-SNR at low noise (arXiv:2303.09556); truncated SNR at high noise (arXiv:2202.00512, section 4), where the
    error of x_0 counts less and less in eps although the words for pose and object must act there.
    """
    snr = a_bar / (1 - a_bar)
    return (config.snr_gamma / snr).clamp(0.05, 1) * (1 / snr).clamp(1, config.high_noise_gain)


def random_crops(images: Tensor, n: int, size: int, generator: torch.Generator) -> Tensor:
    """`n` random crops [n, 3, size, size] in [0, 1] of uint8 images, at multiples of 4 pixels."""
    index = torch.randint(len(images), (n,), generator=generator).tolist()
    places = torch.randint((images.shape[-1] - size) // 4 + 1, (n, 2), generator=generator) * 4
    crops = [images[i, :, y : y + size, x : x + size] for i, (y, x) in zip(index, places.tolist(), strict=True)]
    return torch.stack(crops).float() / 255


def edges(images: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical differences: an L1 on them keeps the autoencoder's edges crisp."""
    return images.diff(dim=-1), images.diff(dim=-2)


def read_vae(pipeline: Path) -> Any:
    """The autoencoder of a pipeline folder, in float32."""
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(pipeline / "vae", torch_dtype=torch.float32)


def train_vae(data: Dataset, config: TrainConfig) -> Any:
    """Fit the autoencoder; returns it with `scaling_factor` set so that latents have unit variance."""
    torch.manual_seed(config.seed)
    vae = make_vae().to(config.device)
    optimizer = torch.optim.AdamW(vae.parameters(), config.vae_lr, betas=(0.9, 0.99), weight_decay=1e-4)
    generator = torch.Generator().manual_seed(config.seed + 1)
    start = time.monotonic()
    for step in range(config.vae_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.vae_lr * cosine_lr(step / config.vae_steps, step, 100)
        # the last quarter sees whole images: attention in the middle must know their size
        whole = step >= config.vae_steps * 3 // 4
        size, batch = (64, config.vae_batch // 4) if whole else (32, config.vae_batch)
        images = random_crops(data.images, batch, size, generator).to(config.device)
        posterior = vae.encode(images * 2 - 1).latent_dist
        decoded = vae.decode(posterior.sample()).sample / 2 + 0.5
        loss_rec = (decoded - images).abs().mean()
        loss_edge = sum((a - b).abs().mean() for a, b in zip(edges(decoded), edges(images), strict=True))
        loss = loss_rec + 0.5 * loss_edge + config.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            elapsed = time.monotonic() - start
            logger.info("vae %d/%d  L1 %.4f  %.0f s", step, config.vae_steps, float(loss_rec.detach()), elapsed)
    vae.requires_grad_(False).eval()
    latents = encode_all(vae, data.images[:2048], config.device)
    vae.register_to_config(scaling_factor=float(1 / latents.std()))
    return vae


@torch.no_grad()
def encode_all(vae, images: Tensor, device: str) -> Tensor:
    """Posterior means [N, 4, h, w] of uint8 images, unscaled."""
    chunks = [vae.encode(c.to(device).float() / 127.5 - 1).latent_dist.mean.cpu() for c in images.split(128)]
    return torch.cat(chunks)


def train_unet(data: Dataset, latents: Tensor, tokenizer, config: TrainConfig, save=None, start_from=None):
    """Fit UNet and text encoder on scaled latents; returns their exponential moving averages.

    `start_from` is a (UNet, text encoder) pair to continue from instead of a random start.
    """
    torch.manual_seed(config.seed)
    model = torch.nn.ModuleDict({"unet": make_unet(), "text": make_text_encoder(tokenizer)})
    # CLIP's own initialisation is made for large models and starts far too quiet here
    for embedding in (m for m in model["text"].modules() if isinstance(m, torch.nn.Embedding)):
        torch.nn.init.normal_(embedding.weight, std=0.3)
    if start_from is not None:
        for part, trained in zip(model.values(), start_from, strict=True):
            part.load_state_dict(trained.float().state_dict())
    model.to(config.device)
    ema = {k: v.detach().clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), config.unet_lr, betas=(0.9, 0.99), weight_decay=1e-3)
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, 1000) ** 2
    alphas_cumprod = torch.cumprod(1 - betas, 0)
    generator = torch.Generator().manual_seed(config.seed + 2)
    clean = torch.tensor([i for i, label in enumerate(data.labels) if not label.degradations])
    degraded = torch.tensor([i for i, label in enumerate(data.labels) if label.degradations])
    n_clean = config.unet_batch * 5 // 8
    start, running = time.monotonic(), float("nan")
    for step in range(config.unet_steps):
        elapsed = (time.monotonic() - start) / 60
        progress = max(step / config.unet_steps, elapsed / config.max_minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = config.unet_lr * cosine_lr(progress, step)
        pick = [
            clean[torch.randint(len(clean), (n_clean,), generator=generator)],
            degraded[torch.randint(len(degraded), (config.unet_batch - n_clean,), generator=generator)],
        ]
        index = torch.cat(pick)
        chosen = [data.labels[i] for i in index.tolist()]
        captions = [sample_caption(c.shape, c.material, c.view, c.degradations, generator) for c in chosen]
        ids = tokenize(tokenizer, captions).to(config.device)
        x_0 = latents[index].to(config.device).float()
        t = torch.randint(0, 1000, (len(x_0),), generator=generator)
        noise = torch.randn(x_0.shape, generator=generator).to(config.device)
        a_bar = alphas_cumprod[t].view(-1, 1, 1, 1).to(config.device)
        x_t = a_bar.sqrt() * x_0 + (1 - a_bar).sqrt() * noise
        with torch.autocast(config.device, dtype=torch.bfloat16):
            context = model["text"](ids).last_hidden_state
            eps_pred = model["unet"](x_t, t.to(config.device), context).sample.float()
        weight = loss_weight(a_bar, config)
        loss = (weight * (eps_pred - noise) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay = min(config.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for k, v in model.state_dict().items():
                if v.is_floating_point():
                    ema[k].lerp_(v, 1 - decay)
        value = float(F.mse_loss(eps_pred.detach(), noise))
        running = value if math.isnan(running) else 0.98 * running + 0.02 * value
        if step % 100 == 0:
            logger.info("unet %d/%d  mse %.4f  %.1f min", step, config.unet_steps, running, elapsed)
        if save is not None and step and step % 1000 == 0:
            save(model, ema)
    model.load_state_dict(ema)
    return model["unet"].requires_grad_(False).eval(), model["text"].requires_grad_(False).eval()


def save_pipeline(out: Path, vae, unet, text) -> None:
    """Write the parts as fp16 safetensors in diffusers layout (the tokenizer is already there)."""
    import copy

    for name, part in (("vae", vae), ("unet", unet), ("text_encoder", text)):
        copy.deepcopy(part).half().save_pretrained(out / name, safe_serialization=True)
        config = json.loads((out / name / "config.json").read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)  # where a part was read from says nothing about it
        (out / name / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    make_scheduler().save_pretrained(out / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "vae": ["diffusers", "AutoencoderKL"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def train(out: Path, config: TrainConfig, vae_from: Path | None = None, continue_from: Path | None = None) -> None:
    """Run all stages and write the pipeline to `out`.

    `vae_from` reuses the autoencoder of a pipeline folder; `continue_from` that and its UNet and text encoder.
    """
    vae_from = vae_from or continue_from
    out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(out / "tokenizer")
    tokenizer = load_tokenizer(out / "tokenizer")
    logger.info("rendering the world")
    data = build_dataset(config.n_views, config.seed, on_shape=lambda s: logger.info("  %s", s))
    logger.info("%d images", len(data.labels))
    if vae_from is None:
        vae = train_vae(data, config)
        vae.save_pretrained(out / "vae", safe_serialization=True)
    else:
        vae = read_vae(vae_from).to(config.device)
    latents = (encode_all(vae, data.images, config.device) * vae.config.scaling_factor).half()
    logger.info("latents %s std %.3f", tuple(latents.shape), float(latents.float().std()))

    def save(model, ema) -> None:
        from safetensors.torch import save_file

        save_file({k: v.contiguous() for k, v in ema.items()}, str(out / "checkpoint.safetensors"))

    start_from = None
    if continue_from is not None:
        from .learned import load_learned_prior

        trained = load_learned_prior(continue_from)
        start_from = (trained.unet, trained.text_encoder)
    unet, text = train_unet(data, latents, tokenizer, config, save, start_from)
    save_pipeline(out, vae, unet, text)
    (out / "checkpoint.safetensors").unlink(missing_ok=True)
    logger.info("wrote %s", out)


def main() -> None:
    defaults = TrainConfig()
    parser = argparse.ArgumentParser(description="Train the learned small-world prior.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the pipeline to")
    parser.add_argument("--vae-from", type=Path, help="reuse the autoencoder of this pipeline folder")
    parser.add_argument("--continue-from", type=Path, help="train the model in this pipeline folder further")
    for name, kind in TrainConfig.__annotations__.items():
        cast = {"int": int, "float": float, "str": str}[kind]
        parser.add_argument(f"--{name.replace('_', '-')}", type=cast, default=getattr(defaults, name))
    args = vars(parser.parse_args())
    out, vae_from, continue_from = args.pop("out"), args.pop("vae_from"), args.pop("continue_from")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train(out, TrainConfig(**args), vae_from, continue_from)


if __name__ == "__main__":
    main()
