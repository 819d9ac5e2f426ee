"""The gradient on the pictures is the same by ComfyUI's classes and by diffusers', for every method.

Those that train a LoRA are in test_lora.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tbsd_pack.tbsd_core.guidance import METHODS, PixelGuidance, TrainingGuidance, build_guidance
from tbsd_pack.tbsd_core.optim import Batch, Predictor, predict_and_guide
from tbsd_pack.tbsd_core.priors.small_world.learned import WEIGHTS, load_learned_prior
from tbsd_pack.tbsd_core.prompts import PromptConfig, build_texts, encode_texts

INSIDE = Path(__file__).parent / "inside"
FIXED = [name for name in METHODS if not isinstance(build_guidance(name), TrainingGuidance)]
PROGRESS = (0.2, 0.8)  # before and after Bridge's switch


@pytest.fixture(scope="module")
def report(comfyui, tmp_path_factory) -> dict:
    from safetensors.torch import save_file

    prior = load_learned_prior()
    config = PromptConfig(prompt="a brick house", source="a wooden house")
    prompts = encode_texts(build_texts(config), prior.encode_prompt)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 64, 64, generator=generator).requires_grad_()
    latents, t = prior.encode(images), torch.tensor([640, 120])
    noise = torch.randn(latents.shape, generator=generator)
    tensors = {"images": images.detach(), "noise": noise, "t": t}
    for name in FIXED:
        for u in PROGRESS:
            views = ["front", "side"]
            seen = images.detach()
            batch = Batch(latents.detach(), t, noise, seen, latents.detach().flip(0))
            out = predict_and_guide(build_guidance(name), Predictor(prior, prompts, views), batch, u).out
            tensors[f"grad {name} {u}"] = out.grad
            if out.pixel_grad is not None:
                tensors[f"pixels {name} {u}"] = out.pixel_grad
            (tensors[f"images {name} {u}"],) = torch.autograd.grad(latents, images, out.grad, retain_graph=True)
    reference = tmp_path_factory.mktemp("gradients") / "reference.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, str(reference))
    return comfyui.run_script(INSIDE / "gradients.py", WEIGHTS, reference)


@pytest.mark.parametrize("progress", PROGRESS)
@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("on", ["grad", "images"])
def test_comfyui_and_diffusers_agree(report, on, method, progress):
    assert report[f"{on} {method} {progress}"] < 1e-3


@pytest.mark.parametrize("progress", PROGRESS)
@pytest.mark.parametrize("method", [name for name in FIXED if isinstance(build_guidance(name), PixelGuidance)])
def test_gradients_on_pixels_agree(report, method, progress):
    """They go through the decoder, too."""
    assert report[f"pixels {method} {progress}"] < 1e-3
