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


def told(kind, weights=None, **config):
    """The family of a model of the class `kind`, as a checkpoint loader would build it."""
    full = {**kind.unet_config, "in_channels": 4, "disable_unet_model_creation": True, **config}
    return family.model_family(SimpleNamespace(model=kind(full).get_model(weights or {}, "")))


report = {
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
    "demo": family.model_family(load("nodes.bridge.demo").load_demo_models(Path(sys.argv[3]))[0]),
}
print(json.dumps(report))
