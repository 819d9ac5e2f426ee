"""Gradients of every method by ComfyPrior against reference tensors of the diffusers prior on the same weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pack import load_pack

load = load_pack()
import torch  # noqa: E402  (ComfyUI sets its device flags before torch is imported)
from safetensors.torch import load_file  # noqa: E402

core = load("tbsd_core.guidance")
optim, prompts_of, bridge = load("tbsd_core.optim"), load("nodes.bridge.prompts"), load("nodes.bridge.prior")
texts = load("tbsd_core.prompts")
model, clip, vae = load("nodes.bridge.demo").load_demo_models(Path(sys.argv[3]))
reference = load_file(sys.argv[4])
images, noise, t = reference["images"], reference["noise"], reference["t"]


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


with torch.inference_mode():  # as ComfyUI runs every node
    config = texts.PromptConfig(prompt="a brick house", source="a wooden house")
    encoded = prompts_of.Prompts(prompts_of.encode_prompts(clip, config, texts.CONDITION_NAMES))

    def body(prior):
        report = {}
        for key in (k for k in reference if k.startswith("grad ")):
            _, name, progress = key.split()
            leaf = images.clone().requires_grad_(True)
            latents = prior.encode(leaf)
            predict = optim.Predictor(prior, encoded.set, ["front", "side"])
            batch = optim.Batch(latents.detach(), t.clone(), noise.clone(), images.clone(), latents.detach().flip(0))
            out = optim.predict_and_guide(core.build_guidance(name), predict, batch, float(progress)).out
            if out.pixel_grad is not None:
                key_of_pixels = key.replace("grad", "pixels")
                report[key_of_pixels] = relative(out.pixel_grad, reference[key_of_pixels])
            (through,) = torch.autograd.grad(latents, leaf, out.grad)
            report[key] = relative(out.grad, reference[key])
            report[key.replace("grad", "images")] = relative(through, reference[key.replace("grad", "images")])
        return report

    print(json.dumps(bridge.with_prior(model, vae, encoded.conditions(), (2, 64, 64), body)))
