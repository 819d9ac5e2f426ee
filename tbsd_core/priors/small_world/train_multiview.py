"""Train the multi-view prior: `python -m tbsd_core.priors.small_world.train_multiview --out DIR`.

The learned prior's UNet is fine-tuned on groups of views of one object: self-attention runs over all of a group, and
each view's camera is further words of its prompt (MVDream, arXiv:2308.16512, with another camera embedding). A part of
the batches stays single pictures, with and without their camera, so that it remains a prior of pictures. Data and state
are kept in DIR once a minute, so that the same command continues after an interruption, with the same result. Writes
the eight-bit weights that ship. These had four such trainings (benchmarks/results/multiview.md). About an hour for
4,000 steps on one CPU core, minutes on a GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..camera_tokens import CameraTokens
from ..diffusers import DiffusersPrior
from ..diffusers.group_attention import attend_in_groups
from . import VIEWS_PER_GROUP
from .captions import sample_caption
from .learned import CAMERA_TOKENS, MULTIVIEW_UNET, UNET, WEIGHTS, load_camera_tokens, load_learned_prior
from .materials import MATERIALS
from .quantized import quantize
from .rings import Rings, build_rings, load_rings, sample_columns
from .shapes import SHAPES
from .tokenizer import load_tokenizer, tokenize
from .train import TrainConfig, loss_weight
from .training_state import fine_tune
from .world import view_of

logger = logging.getLogger(__name__)

WARMUP = 100  # steps
STARTS = {"learned": UNET, "multiview": MULTIVIEW_UNET}  # multiview: train the shipped weights further


@dataclass(frozen=True, kw_only=True)
class MultiviewTrainConfig:
    n_rings: int = 9  # per object
    start: str = "learned"  # a name in STARTS: the weights that it begins with
    steps: int = 1850
    batch: int = 32  # pictures; groups are a part of them as large as their views are many
    lr: float = 2.5e-4  # of the UNet
    lr_new: float = 1e-3  # of the camera tokens
    grouped: float = 0.75  # share of steps on groups of views
    viewed: float = 0.1  # share of steps on single pictures with their cameras; the others are without
    sound: float = 0.625  # share of groups without faults
    view_words: float = 0.1  # share of groups with cameras whose captions also name the views
    noise_power: float = 0.7  # u ** noise_power is a timestep, u uniform: below 1 shape comes first, above 1 detail
    ema: float = 0.997
    seed: int = 2
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}, got {self.start!r}.")
        if self.noise_power <= 0:
            raise ValueError(f"noise_power must be above 0, got {self.noise_power}.")


@dataclass(frozen=True)
class Examples:
    """A batch: scaled latents [B, C, h, w], captions, angles [B] in degrees or None, views that belong together."""

    latents: Tensor
    captions: list[str]
    angles: tuple[Tensor, Tensor] | None
    views: int


def sample_examples(rings: Rings, config: MultiviewTrainConfig, generator: torch.Generator) -> Examples:
    """The batch of a step: groups of views, single pictures with their cameras, or without."""
    kind = float(torch.rand((), generator=generator))
    has_camera = kind < config.grouped + config.viewed
    views = VIEWS_PER_GROUP if kind < config.grouped else 1
    n = config.batch // views
    n_rings = rings.elevation.shape[1]
    s, m, r = (torch.randint(size, (n,), generator=generator) for size in (len(SHAPES), len(MATERIALS), n_rings))
    faulty = (torch.rand(n, generator=generator) >= config.sound).long()
    columns = sample_columns(n, views, generator)
    latents = rings.latents[s[:, None], m[:, None], faulty[:, None], r[:, None], columns].flatten(0, 1).float()
    azimuth = rings.azimuth[s[:, None], r[:, None], columns].flatten()
    elevation = rings.elevation[s, r].repeat_interleave(views)
    names = [view_of(*angles) for angles in zip(azimuth.tolist(), elevation.tolist(), strict=True)]
    captions = []
    for i in range(n):
        shape, material = list(SHAPES)[int(s[i])], list(MATERIALS)[int(m[i])]
        faults = rings.faults[int(s[i])][int(m[i])][int(r[i])] if faulty[i] else ()
        of_group = names[i * views : (i + 1) * views]
        if not has_camera:
            captions.append(sample_caption(shape, material, of_group[0], faults, generator))
            continue
        text = sample_caption(shape, material, "", faults, generator, view_share=0.0)
        said = text and float(torch.rand((), generator=generator)) < config.view_words
        captions += [f"{text}, {view} view" if said else text for view in of_group]
    return Examples(latents, captions, (azimuth, elevation) if has_camera else None, views)


def sample_timesteps(n: int, views: int, n_timesteps: int, power: float, generator: torch.Generator) -> Tensor:
    """Timesteps [n views], one per group; `power` below 1 draws high ones more often, where geometry is decided."""
    u = torch.rand(n, generator=generator) ** power
    return (n_timesteps * u).long().clamp(max=n_timesteps - 1).repeat_interleave(views)


def group_loss(model: nn.ModuleDict, prior: DiffusersPrior, batch: Examples, context: Tensor, t: Tensor, noise: Tensor):
    """Weighted squared error of the noise, a scalar with gradient on the model, and the plain one."""
    device = noise.device
    a_bar = prior.schedule.alphas_cumprod[t.cpu()].view(-1, 1, 1, 1).to(device)
    x_t = a_bar.sqrt() * batch.latents.to(device) + (1 - a_bar).sqrt() * noise
    if batch.angles is not None:
        context = torch.cat([context, model["cameras"](*(a.to(device) for a in batch.angles))], 1)
    eps_pred = model["unet"](x_t, t, context, cross_attention_kwargs={"views": batch.views}).sample
    error = (eps_pred.float() - noise) ** 2
    return (loss_weight(a_bar, TrainConfig()) * error).mean(), error.mean().detach()


def train_multiview(out: Path, config: MultiviewTrainConfig) -> nn.ModuleDict:
    """Train, or resume a training in `out`; returns the moving average, which is also written there.

    The files of the training (rings, state) stay: delete them when the weights are good.
    """
    out.mkdir(parents=True, exist_ok=True)
    prior = load_learned_prior(WEIGHTS, config.device, STARTS[config.start])
    tokenizer = load_tokenizer(WEIGHTS / "tokenizer")

    def built() -> Rings:
        def encode(images: Tensor) -> Tensor:
            return prior.encode(images.to(config.device)).cpu()

        return build_rings(config.n_rings, config.seed, encode, lambda shape: logger.info("  %s", shape))

    rings = load_rings(out, built)
    torch.manual_seed(config.seed)  # of the new layers
    attend_in_groups(prior.unet)
    is_new = config.start == "learned"
    cameras = CameraTokens(prior.unet.config.cross_attention_dim) if is_new else load_camera_tokens()
    cameras = cameras.to(config.device).requires_grad_(True).train()
    model = nn.ModuleDict({"unet": prior.unet.requires_grad_(True).train(), "cameras": cameras})
    groups = [
        {"params": list(cameras.parameters()), "base_lr": config.lr_new},
        {"params": list(prior.unet.parameters()), "base_lr": config.lr},
    ]

    def losses(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        batch = sample_examples(rings, config, generator)
        n_groups = config.batch // batch.views
        t = sample_timesteps(n_groups, batch.views, prior.schedule.n_timesteps, config.noise_power, generator)
        noise = torch.randn(batch.latents.shape, generator=generator)
        texts = list(dict.fromkeys(batch.captions))
        with torch.no_grad():
            embedded = prior.text_encoder(tokenize(tokenizer, texts).to(config.device)).last_hidden_state
        context = embedded[[texts.index(text) for text in batch.captions]]
        return group_loss(model, prior, batch, context, t.to(config.device), noise.to(config.device))

    fine_tune(out / "state.safetensors", model, groups, config, WARMUP, losses)
    write_parts(out, model)
    return model.requires_grad_(False).eval()


def write_parts(out: Path, model: nn.ModuleDict) -> None:
    """Write the UNet with eight bits a weight, and the camera tokens, which are few, with sixteen."""
    from safetensors.torch import save_file

    unet: Any = model["unet"]
    cameras: Any = model["cameras"]
    unet.save_config(out / MULTIVIEW_UNET)
    described = out / MULTIVIEW_UNET / "config.json"
    config = json.loads(described.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    described.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (out / CAMERA_TOKENS).mkdir(exist_ok=True)
    (out / CAMERA_TOKENS / "config.json").write_text(json.dumps(cameras.config, indent=2) + "\n", encoding="utf-8")
    for name, packed in (
        (f"{MULTIVIEW_UNET}/diffusion_pytorch_model", quantize(unet.state_dict())),
        (f"{CAMERA_TOKENS}/model", {k: v.half() for k, v in cameras.state_dict().items()}),
    ):
        path = out / f"{name}.safetensors"
        save_file({k: v.cpu().contiguous() for k, v in packed.items()}, str(path), metadata={"format": "pt"})
        logger.info("wrote %s (%.2f MB)", path, path.stat().st_size / 1e6)


def main() -> None:
    defaults = MultiviewTrainConfig()
    parser = argparse.ArgumentParser(description="Train the multi-view prior of the small world.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training; the same one goes on")
    for name, kind in MultiviewTrainConfig.__annotations__.items():
        cast = {"int": int, "float": float, "str": str}[kind]
        parser.add_argument(f"--{name.replace('_', '-')}", type=cast, default=getattr(defaults, name))
    args = vars(parser.parse_args())
    out = args.pop("out")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train_multiview(out, MultiviewTrainConfig(**args))


if __name__ == "__main__":
    main()
