"""Train the learned prior's ControlNet for depth: `python -m tbsd_core.priors.small_world.train_control --out DIR`.

A copy of the UNet's encoder reads the depth of a picture (arXiv:2302.05543) while the UNet stays as it is. Data and
state are kept in DIR once a minute, so that the same command continues after an interruption, with the same result.
Writes the eight-bit weights that ship. About five minutes on one free CPU core.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diffusers import DiffusersPrior
from .captions import sample_caption
from .dataset import Label, build_dataset
from .learned import WEIGHTS, load_learned_prior
from .quantized import quantize
from .train import TrainConfig, encode_all, loss_weight
from .training_state import fine_tune

logger = logging.getLogger(__name__)

HINT_CHANNELS = (16, 32, 64)  # two halvings: a hint has the size of the picture
WARMUP = 20  # steps


@dataclass(frozen=True, kw_only=True)
class ControlTrainConfig:
    n_views: int = 24  # random views per object
    steps: int = 400
    batch: int = 8
    lr: float = 3e-4  # of the copied encoder
    lr_new: float = 3e-3  # of what reads the hint and of the layers that begin at zero
    empty_prompts: float = 0.5  # share of samples without a prompt: the hint alone must do (section 3.4 there)
    ema: float = 0.98
    seed: int = 1


@dataclass(frozen=True)
class Examples:
    """The training data: latents [N, 4, h, w] scaled, hints [V, 1, H, W] as uint8, and one label per latent."""

    latents: Tensor
    hints: Tensor
    labels: list[Label]


def make_control(unet) -> Any:
    """A ControlNet that starts as the encoder of `unet` and changes nothing yet.

    The last layer of what reads the hint is not zero, as the paper has it: the zero layers behind the encoder are
    enough for that, and two in a row learn nothing for some hundred steps.
    """
    from diffusers import ControlNetModel

    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_CHANNELS)
    torch.nn.init.kaiming_normal_(control.controlnet_cond_embedding.conv_out.weight)
    return control


def parameter_groups(control, config: ControlTrainConfig) -> list[dict[str, Any]]:
    """New layers learn faster than copied ones; `base_lr` is what the schedule multiplies."""
    new = [p for name, p in control.named_parameters() if name.startswith("controlnet_")]
    copied = [p for name, p in control.named_parameters() if not name.startswith("controlnet_")]
    return [{"params": new, "base_lr": config.lr_new}, {"params": copied, "base_lr": config.lr}]


def control_loss(prior: DiffusersPrior, control, x_0: Tensor, hints: Tensor, context: Tensor, t: Tensor, noise: Tensor):
    """Weighted squared error of the noise, a scalar with gradient on `control`; hints [B, 3, H, W] in [0, 1]."""
    a_bar = prior.schedule.alphas_cumprod[t].view(-1, 1, 1, 1)
    x_t = a_bar.sqrt() * x_0 + (1 - a_bar).sqrt() * noise
    down, middle = control(x_t, t, context, hints, return_dict=False)
    eps_pred = prior.unet(
        x_t, t, context, down_block_additional_residuals=down, mid_block_additional_residual=middle
    ).sample
    error = (eps_pred.float() - noise) ** 2
    return (loss_weight(a_bar, TrainConfig()) * error).mean(), error.mean().detach()


def load_examples(out: Path, prior: DiffusersPrior, config: ControlTrainConfig) -> Examples:
    """Render and encode the pictures, or read the ones that an earlier call has kept in `out`."""
    from safetensors.torch import load_file, save_file

    kept, described = out / "examples.safetensors", out / "examples.json"
    if not described.exists():
        logger.info("rendering the world")
        data = build_dataset(config.n_views, config.seed, on_shape=lambda s: logger.info("  %s", s))
        logger.info("encoding %d pictures", len(data.labels))
        latents = encode_all(prior.vae, data.images, "cpu") * prior.vae.config.scaling_factor
        save_file({"latents": latents.half().contiguous(), "hints": data.hints.contiguous()}, str(kept))
        rows = [[x.shape, x.material, x.view, list(x.degradations), x.hint] for x in data.labels]
        described.write_text(json.dumps(rows), encoding="utf-8")
    found = load_file(str(kept))
    stored = json.loads(described.read_text(encoding="utf-8"))
    labels = [Label(shape, material, view, tuple(faults), hint) for shape, material, view, faults, hint in stored]
    return Examples(found["latents"], found["hints"], labels)


def train_control(out: Path, config: ControlTrainConfig, prior: DiffusersPrior | None = None) -> Any:
    """Train, or resume a training in `out`; returns the moving average, which is also written there.

    The files of the training (examples, state) stay: delete them when the weights are good.
    """
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    prior = prior or load_learned_prior(WEIGHTS)
    examples = load_examples(out, prior, config)
    torch.manual_seed(config.seed)  # of the new layers
    control = make_control(prior.unet).requires_grad_(True).train()
    embedded: dict[str, Tensor] = {}

    def losses(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(examples.labels), (config.batch,), generator=generator)
        chosen = [examples.labels[i] for i in index.tolist()]
        captions = [sample_caption(c.shape, c.material, c.view, c.degradations, generator) for c in chosen]
        empty = torch.rand(config.batch, generator=generator) < config.empty_prompts
        for i in empty.nonzero().flatten().tolist():
            captions[i] = ""
        for text in set(captions) - embedded.keys():
            embedded[text] = prior.encode_prompt(text)
        x_0 = examples.latents[index].float()
        hints = examples.hints[[c.hint for c in chosen]].float().expand(-1, 3, -1, -1) / 255
        # geometry is decided where there is much noise
        t = (1000 * torch.rand(config.batch, generator=generator).sqrt()).long().clamp(max=999)
        noise = torch.randn(x_0.shape, generator=generator)
        context = torch.cat([embedded[text] for text in captions])
        return control_loss(prior, control, x_0, hints, context, t, noise)

    groups = parameter_groups(control, config)
    ema = fine_tune(out / "state.safetensors", control, groups, config, WARMUP, losses)
    folder = out / "control_depth"
    control.save_config(folder)
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    described.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    weights = folder / "diffusion_pytorch_model.safetensors"
    save_file(quantize(ema), str(weights), metadata={"format": "pt"})
    logger.info("wrote %s (%.2f MB)", weights, weights.stat().st_size / 1e6)
    return control.requires_grad_(False).eval()


def main() -> None:
    defaults = ControlTrainConfig()
    parser = argparse.ArgumentParser(description="Train the ControlNet for depth of the learned small-world prior.")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the training; the same folder again resumes it"
    )
    for name, kind in ControlTrainConfig.__annotations__.items():
        cast = {"int": int, "float": float}[kind]
        parser.add_argument(f"--{name.replace('_', '-')}", type=cast, default=getattr(defaults, name))
    args = vars(parser.parse_args())
    out = args.pop("out")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    train_control(out, ControlTrainConfig(**args))


if __name__ == "__main__":
    main()
