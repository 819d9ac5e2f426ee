"""Weights with eight bits each, as they ship: half the size of float16.

A matrix or kernel is kept as int8 with one scale per output channel (symmetric, rounded to nearest:
Krishnamoorthi 2018, arXiv:1806.08342, section 2.4); small tensors stay float16, and so do the first and the last layer.
Only the files are quantised: the networks compute in float32.

    python -m tbsd_core.priors.small_world.quantized FOLDER OUT            a trained pipeline as it ships
    python -m tbsd_core.priors.small_world.quantized FOLDER OUT --expand   back to a folder that diffusers reads
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

SCALE = ".scale"
LEVELS = 79  # to each side of 0; with all 127 the archive of the pack would be larger than 5 MB
FIRST_AND_LAST = ("conv_in", "conv_out")  # stay float16: few weights, and most of the error
SMALLEST = 1024  # elements; below that the scales would weigh as much as the float16 values


def quantize(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights [out, ...] as int8 with a `<name>.scale` [out] beside them; vectors and small ones as float16."""
    packed = {}
    for name, weight in weights.items():
        if weight.ndim < 2 or weight.numel() < SMALLEST or any(part in name for part in FIRST_AND_LAST):
            packed[name] = weight.half().contiguous()
            continue
        rows = weight.float().flatten(1)
        scale = (rows.abs().amax(1) / LEVELS).clamp_min(torch.finfo(torch.float32).tiny)
        levels = (rows / scale[:, None]).round().clamp(-LEVELS, LEVELS)
        packed[name], packed[name + SCALE] = levels.to(torch.int8).reshape(weight.shape), scale
    return packed


def dequantize(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Float32 weights from what `quantize` made; ordinary float weights pass through.

    Raises:
        ValueError: int8 weights without their scales.
    """
    weights = {}
    for name, stored in packed.items():
        if name.endswith(SCALE):
            continue
        weights[name] = stored.float()
        if stored.dtype == torch.int8:
            if name + SCALE not in packed:
                raise ValueError(f"The weights are damaged: {name} has no scales. Reinstall the node pack.")
            weights[name] *= packed[name + SCALE].reshape(-1, *[1] * (stored.ndim - 1))
    return weights


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of one part of a pipeline in float32. Raises FileNotFoundError unless there is one file."""
    from safetensors.torch import load_file

    return dequantize(load_file(str(weights_file(folder))))


def weights_file(folder: Path) -> Path:
    """The one weight file of a part."""
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise FileNotFoundError(f"Expected one .safetensors file in {folder}, found {len(files)}.")
    return files[0]


def convert(folder: Path, out: Path, expand: bool = False) -> None:
    """Copy a pipeline folder to `out` with weights of eight bits, or with `expand` of 32. Raises FileExistsError."""
    from safetensors.torch import save_file

    shutil.copytree(folder, out)
    for path in sorted(out.glob("*/*.safetensors")):
        weights = read_weights(path.parent)
        save_file(weights if expand else quantize(weights), str(path), metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description="Store a trained small-world pipeline with eight bits per weight.")
    parser.add_argument("folder", type=Path, help="pipeline folder, as train.py writes it")
    parser.add_argument("out", type=Path, help="folder to write; must not exist")
    parser.add_argument("--expand", action="store_true", help="the other way: float32, as diffusers reads it")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists already: name a new folder")
    convert(args.folder, args.out, args.expand)


if __name__ == "__main__":
    main()
