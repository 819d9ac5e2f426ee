"""Pipelines of the `diffusers` library as priors: local folders and single .safetensors checkpoints.

A family is a file with the PARTS of its pipeline (name and class) and `build`, which makes a prior
(see priors/base.py) of them. To add one: such a file, and a line in FAMILIES under the class name that
model_index.json gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...optional import require
from ..base import TextPrior
from ..distilled import network_refusal
from . import sd3, sdxl, stable_diffusion
from .parts import check_parts, load_model, load_tokenizer
from .sampling import sample_ddim
from .single_file import load_single_file, recognise
from .source import Pipeline, find, inspect
from .stable_diffusion import DiffusersPrior


@dataclass(frozen=True)
class Family:
    parts: Mapping[str, str]  # class of each part of a pipeline folder
    build: Callable[[Mapping[str, Any], Mapping[str, Any], torch.device], TextPrior]
    optional: tuple[str, ...] = ()  # parts that a pipeline may lack


FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": Family(stable_diffusion.PARTS, stable_diffusion.build),
    "StableDiffusionXLPipeline": Family(sdxl.PARTS, sdxl.build),
    "StableDiffusion3Pipeline": Family(sd3.PARTS, sd3.build, sd3.OPTIONAL),
}


def load_diffusers_prior(
    source: str | Path,  # a pipeline folder, a .safetensors checkpoint, or a hub id
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,  # of the networks; the autoencoder stays in float32 where its config says so
    allow_download: bool = False,  # only then may a hub id be fetched
) -> TextPrior:
    """Read a pipeline as a prior. Without `allow_download` nothing touches the network.

    Raises:
        FileNotFoundError: there is no such file or folder, or the pipeline lacks a part.
        ValueError: pickled weights, or a kind of model that is not supported; lists what is.
        ImportError: diffusers or transformers is missing, with the pip line.
    """
    path = find(source, allow_download)
    pipeline = check_pipeline(path)
    family = FAMILIES[pipeline.class_name]
    if path.is_dir():
        absent = {name for name in family.optional if pipeline.index.get(name, [None])[0] is None}
        parts = load_parts(path, {k: v for k, v in family.parts.items() if k not in absent}, dtype)
    else:
        parts = load_single_file(path, recognise(path), dtype)
    return family.build(parts, pipeline.index, torch.device(device))


def check_pipeline(path: Path) -> Pipeline:
    """The configuration of a folder or checkpoint, before any weight is read.

    Raises:
        ValueError: the class of the pipeline is not in FAMILIES, or its network gives no score.
    """
    pipeline = inspect(path)
    if pipeline.class_name not in FAMILIES:
        raise ValueError(
            f"{path} is a {pipeline.class_name}, which is not supported here; supported are {', '.join(FAMILIES)}. "
            "In ComfyUI the nodes take any image model: use them with this one."
        )
    scheduler = pipeline.scheduler.get("_class_name", "")
    if scheduler.startswith("EDM"):
        raise ValueError(f"{path} has the scheduler {scheduler}: networks that are scaled that way are not supported.")
    refused = network_refusal(str(path), pipeline.network)
    if refused:
        raise ValueError(refused)
    return pipeline


def load_parts(
    folder: Path,
    parts: Mapping[str, str],  # class of each part
    dtype: torch.dtype,
) -> dict[str, Any]:
    """The parts of a pipeline folder, on the CPU."""
    check_parts(folder, tuple(parts))
    diffusers, transformers = require("diffusers"), require("transformers")
    loaded = {}
    for name, kind in parts.items():
        if name.startswith("tokenizer"):
            loaded[name] = load_tokenizer(folder / name)
        elif name == "scheduler":
            loaded[name] = getattr(diffusers, kind).from_pretrained(folder / name, local_files_only=True)
        else:
            library = transformers if name.startswith("text_encoder") else diffusers
            wanted = torch.float32 if name == "vae" else dtype  # see autoencoder.to_safe_dtype
            loaded[name] = load_model(getattr(library, kind), folder / name, wanted)
    return loaded


__all__ = [
    "FAMILIES",
    "DiffusersPrior",
    "Family",
    "check_pipeline",
    "load_diffusers_prior",
    "load_parts",
    "sample_ddim",
]
