"""Checkpoints in one .safetensors file, as model sites hand them out: Stable Diffusion 1, 2 and XL.

Such a file holds weights and nothing else. diffusers renames them; what it would fetch from the hub,
configurations and tokenizer, is written to a temporary folder instead.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...optional import require
from . import sdxl, stable_diffusion
from .architectures import ARCHITECTURES
from .clip_bpe import END, write_tokenizer
from .parts import load_tokenizer

Configs = Mapping[str, Mapping[str, Any]]  # by part, and model_index

NETWORK = "model.diffusion_model."
FIX = "Use its pipeline folder (with model_index.json), or the nodes in ComfyUI."
PARTS = {"StableDiffusionPipeline": stable_diffusion.PARTS, "StableDiffusionXLPipeline": sdxl.PARTS}


def recognise(path: Path) -> Configs:
    """The configurations that fit a checkpoint, from the names and shapes of its weights.

    Raises:
        ValueError: it is not a text-to-image checkpoint of a known architecture.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        raise ValueError(f"{path} is not a .safetensors file.")
    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = {k: file.get_slice(k).get_shape() for k in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
            name = architecture(path, shapes)
            configs: dict[str, Any] = copy.deepcopy(ARCHITECTURES[name])
            configs["scheduler"]["prediction_type"] = "epsilon"
            if predicts_velocity(name, shapes, metadata, file.get_tensor):
                configs["scheduler"]["prediction_type"] = "v_prediction"
            elif name == "sd2":  # its base model, which predicts the noise, was trained on smaller pictures
                configs["unet"]["sample_size"], configs["vae"]["sample_size"] = 64, 512
            configs["scheduler"]["rescale_betas_zero_snr"] = "ztsnr" in shapes
            configs["model_index"]["_name_or_path"] = metadata.get("modelspec.title", "")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a .safetensors file ({error}).") from error
    return configs


def architecture(path: Path, shapes: Mapping[str, list[int]]) -> str:
    """The name of a checkpoint in ARCHITECTURES."""
    first = shapes.get(NETWORK + "input_blocks.0.0.weight")
    if first is None:
        transformers = ("joint_blocks.", "double_blocks.")  # Stable Diffusion 3, Flux
        if any(part in key for key in shapes for part in transformers):
            raise ValueError(f"{path} is a transformer, whose text encoders a single file cannot describe. {FIX}")
        raise ValueError(
            f"{path} does not hold a whole Stable Diffusion checkpoint (there is no {NETWORK}input_blocks...): it "
            "may be a LoRA, an autoencoder or a network alone. Use a checkpoint with network, autoencoder and "
            "text encoder."
        )
    width = next((s[1] for k, s in sorted(shapes.items()) if k.endswith("attn2.to_k.weight")), None)
    vector = shapes.get(NETWORK + "label_emb.0.0.weight")
    name = {(768, None): "sd1", (1024, None): "sd2", (2048, 2816): "sdxl"}.get((width, vector[1] if vector else None))
    if name is None or first[1] != 4 or "edm_mean" in shapes:
        raise ValueError(
            f"{path} is not a text-to-image checkpoint of Stable Diffusion 1, 2 or XL (input channels {first[1]}, "
            f"text width {width}, vector width {vector[1] if vector else 0}). {FIX}"
        )
    return name


def predicts_velocity(name: str, shapes: Mapping[str, list[int]], metadata: Mapping[str, str], read) -> bool:
    """Whether the network predicts v: marked in the file, or told from the weights as ComfyUI tells it."""
    stated = metadata.get("modelspec.prediction_type", "")
    if stated or "v_pred" in shapes:
        return stated.startswith("v") or "v_pred" in shapes
    key = NETWORK + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    return name == "sd2" and key in shapes and bool(read(key).float().std(unbiased=False) > 0.09)


def load_single_file(path: Path, configs: Configs, dtype: torch.dtype) -> dict[str, Any]:
    """The parts of a checkpoint by name, on the CPU; `configs` as from `recognise`.

    Raises:
        ValueError: it lacks weights.
        ImportError: diffusers, transformers or accelerate is missing, with the pip line.
    """
    diffusers = require("diffusers")
    require("accelerate")  # without it diffusers leaves weights that the file lacks at random values, silently
    kind = configs["model_index"]["_class_name"]
    lacking = ValueError(
        f"{path} lacks weights of its network, autoencoder or text encoder: it may be pruned, or an unknown "
        f"variant. {FIX}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_configs(folder, configs)
        local: dict[str, Any] = dict(config=str(folder), local_files_only=True)
        tokenizers = {name: load_tokenizer(folder / name) for name in PARTS[kind] if name.startswith("tokenizer")}
        try:
            vae = diffusers.AutoencoderKL.from_single_file(
                str(path), subfolder="vae", torch_dtype=torch.float32, **local
            )
            pipe = getattr(diffusers, kind).from_single_file(
                str(path), vae=vae, torch_dtype=dtype, **local, **tokenizers
            )
        except NotImplementedError as error:  # of moving a weight that was never filled
            raise lacking from error
    parts = {name: pipe.components[name] for name in PARTS[kind]}
    models = [part for part in parts.values() if isinstance(part, torch.nn.Module)]
    if any(weight.is_meta for model in models for weight in model.parameters()):
        raise lacking
    return parts


def write_configs(folder: Path, configs: Configs) -> None:
    """A pipeline folder without weights."""
    kind = configs["model_index"]["_class_name"]
    index: dict[str, Any] = {"_class_name": kind}
    if kind == "StableDiffusionPipeline":
        index["requires_safety_checker"] = False  # there is none to warn of
    for name, class_name in PARTS[kind].items():
        library = "transformers" if name.startswith(("text_encoder", "tokenizer")) else "diffusers"
        index[name] = [library, class_name]
        if name.startswith("tokenizer"):
            # the larger encoders pad with "!", which has id 0
            small = configs[name.replace("tokenizer", "text_encoder")]["hidden_act"] == "quick_gelu"
            write_tokenizer(folder / name, END if small else "!")
        else:
            file = "scheduler_config.json" if name == "scheduler" else "config.json"
            write_json(folder / name / file, {"_class_name": class_name, **configs[name]})
    write_json(folder / "model_index.json", index)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(content)), encoding="utf-8")
