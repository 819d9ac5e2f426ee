"""The pack's reading of each of comfy's own model descriptions; the networks are left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from pack import load_pack

load = load_pack()
import comfy.supported_models as known  # noqa: E402
import torch  # noqa: E402

family = load("nodes.bridge.family")
V_MARK = "output_blocks.11.1.transformer_blocks.0.norm1.bias"


def made(kind, weights=None, **config):
    """A model of the class `kind`, as a checkpoint loader would build it."""
    full = {**kind.unet_config, "in_channels": 4, "disable_unet_model_creation": True, **config}
    return SimpleNamespace(model=kind(full).get_model(weights or {}, ""))


def told(kind, weights=None, **config):
    return family.model_family(made(kind, weights, **config))


def noise(model, method="tbsd", changes="") -> list[float]:
    """The noise of Refine as Mesh at its usual t_max: least, most, and most at the end."""
    preset = load("tbsd_core.presets").preset(family.model_family(model)[0], "nerf", method)
    names = load("nodes.presets")
    settings = load("tbsd_core.preset_changes").changed(preset, names.groups_of(method, "nerf"), changes, names.WIDGETS)
    guidance = METHODS[method].method(METHODS[method].config())
    guided = load("nodes.sockets").GuidedModel(model=model, vae=None, prompts=None, guidance=guidance, preset=settings)
    found = load("nodes.bridge.refine").noise_of(guided, 0.5)
    return [found.t_min, found.t_max, found.t_max_end]


METHODS = load("tbsd_core.guidance").METHODS
demo = load("nodes.bridge.demo").load_demo_models(Path(sys.argv[3]))[0]
yours = "optim.timesteps.t_min=0.2; optim.timesteps.t_max_end=0.4; optim.timesteps.t_max=0.9"
report = {
    "noise": {
        "demo": noise(demo),
        "SD15": noise(made(known.SD15)),
        "SD15 hifa": noise(made(known.SD15), "hifa"),
        "yours": noise(made(known.SD15), "tbsd", yours),
        "too much": noise(demo, "tbsd", "optim.timesteps.t_min=0.3"),
    },
    "SD15": told(known.SD15),
    "SD20 eps": told(known.SD20),
    "SD20 v": told(known.SD20, {V_MARK: torch.linspace(-1, 1, 8)}),
    "SDXL": told(known.SDXL),
    "SDXLRefiner": told(known.SDXLRefiner),
    "SD3": told(known.SD3, in_channels=16),
    "Flux": told(known.Flux, in_channels=16),
    "FluxSchnell": told(known.FluxSchnell, in_channels=16),
    "AuraFlow": told(known.AuraFlow),
    "PixArtSigma": told(known.PixArtSigma),
    "demo": family.model_family(demo),
}
print(json.dumps(report))
