"""The demo MODEL, CLIP and VAE compute what diffusers computes from the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.priors.base import Viewed
from tbsd_pack.tbsd_core.priors.small_world import load_prior
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS
from tbsd_pack.tbsd_core.priors.small_world.quantized import convert

INSIDE = Path(__file__).parent / "inside"


@torch.no_grad()
def write_reference(path: Path, weights: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPTextModel, PreTrainedTokenizerFast

    unet = UNet2DConditionModel.from_pretrained(weights / "unet", torch_dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(weights / "vae", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(weights / "text_encoder", dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(weights / "tokenizer")
    prompt = ["a photo of a brick cube, front view"]
    ids = tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    generator = torch.Generator().manual_seed(0)
    context = text(ids).last_hidden_state
    x_t, t = torch.randn(2, 4, 16, 16, generator=generator), torch.tensor([500, 20])
    images = torch.rand(1, 3, 64, 64, generator=generator)
    latents = vae.encode(images * 2 - 1).latent_dist.mean
    tensors = {
        "context": context,
        "x_t": x_t,
        "t": t,
        "eps": unet(x_t, t, context.expand(2, -1, -1)).sample,
        "images": images,
        "latents": latents,
        "images_decoded": vae.decode(latents).sample / 2 + 0.5,
    }
    prior = load_prior("multiview")
    views, t_views = torch.randn(8, 4, 16, 16, generator=generator), torch.tensor([700] * 4 + [90] * 4)
    angles = torch.tensor([(90.0 * i + 7 * (i // 4), 20.0 + 15 * (i // 4)) for i in range(8)])
    conditions = [prior.encode_prompt(text) for text in (*prompt, "")]
    seen = [[Viewed(c, *a) for a in angles.tolist()] for c in conditions]
    tensors |= {"views": views, "t_views": t_views, "angles": angles}
    tensors["viewed"] = torch.cat(prior.predict_noise(views, t_views, seen))
    tensors["plain"] = torch.cat(prior.predict_noise(views, t_views, [[c] * 8 for c in conditions]))
    save_file({k: v.contiguous() for k, v in tensors.items()}, str(path))


@pytest.fixture(scope="module")
def parity(comfyui, tmp_path_factory) -> dict:
    reference = tmp_path_factory.mktemp("parity") / "reference.safetensors"
    expanded = tmp_path_factory.mktemp("expanded") / "pipeline"
    convert(WEIGHTS, expanded, expand=True)
    write_reference(reference, expanded)
    return comfyui.run_script(INSIDE / "parity.py", WEIGHTS, reference)


@pytest.mark.parametrize("part", ["text", "eps", "latents", "images", "viewed", "lora", "plain"])
def test_demo_models_agree_with_diffusers(parity, part):
    assert parity[part] < 1e-4


def test_the_multiview_model_sees_groups_of_four(parity):
    assert parity["group"] == 4 and parity["trained"] > 0  # VSD and ESD train on it


def test_prompt_weights_change_the_embedding(parity):
    assert parity["weighted"] > 1e-2


def test_an_unknown_word_lists_the_vocabulary(parity):
    assert "'dragon'" in parity["unknown"] and "mushroom" in parity["unknown"]


def test_the_autoencoder_reports_its_factor(parity):
    assert parity["spatial_factor"] == 4
