"""Reading one part of a local pipeline folder: safetensors only, never the network."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...optional import require

logger = logging.getLogger(__name__)

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


def refuse_pickle(path: Path) -> None:
    """Raise ValueError for a file of a format that runs code when it is read."""
    if path.suffix.lower() in PICKLED:
        raise ValueError(
            f"{path} is a pickle file, and reading it runs any code that is in it. Use the .safetensors file of the "
            "same model, or convert it in an environment that you trust."
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises FileNotFoundError or ValueError naming the file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path.parent} is not a part of a diffusers pipeline: no {path.name}.") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}).") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(found).__name__}.")
    return found


def check_parts(folder: Path, parts: tuple[str, ...]) -> None:
    """Raise FileNotFoundError naming the parts that `folder` lacks."""
    missing = [part for part in parts if not (folder / part).is_dir()]
    if missing:
        raise FileNotFoundError(f"{folder} is not a complete diffusers pipeline: it lacks {', '.join(missing)}/.")


def load_model(kind: type, folder: Path, dtype: torch.dtype):
    """A diffusers or transformers model of class `kind` from the safetensors in `folder`, on the CPU.

    Raises:
        ValueError: its weights are pickled.
        FileNotFoundError: it has no weights.
    """
    variant = weights_variant(folder)
    options: dict[str, Any] = dict(local_files_only=True, use_safetensors=True, variant=variant)
    if kind.__module__.startswith("diffusers."):
        # the low-memory path wants the accelerate package and prints an appeal to install it
        has_accelerate = importlib.util.find_spec("accelerate") is not None
        options |= dict(torch_dtype=dtype, low_cpu_mem_usage=has_accelerate)
        return kind.from_pretrained(folder, **options)
    return kind.from_pretrained(folder, **options).to(dtype)  # the name of its dtype option depends on the version


def weights_variant(folder: Path) -> str | None:
    """None for plain weight files, else the variant that is there, such as "fp16"."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        for path in sorted(folder.glob("*")):
            refuse_pickle(path)
        raise FileNotFoundError(f"{folder} holds no .safetensors file.")
    if any(path.name.count(".") == 1 for path in files):
        return None
    return files[0].name.split(".")[1].split("-")[0]  # model.fp16.safetensors, model.fp16-00001-of-00002.safetensors


def load_tokenizer(folder: Path):
    """The tokenizer of a pipeline part."""
    check_parts(folder.parent, (folder.name,))
    return require("transformers").AutoTokenizer.from_pretrained(folder, local_files_only=True)


def token_ids(tokenizer, text: str, length: int) -> Tensor:
    """Token ids [1, length], padded as the tokenizer says; tokens beyond that are dropped with a warning."""
    n_tokens = len(tokenizer(text).input_ids)
    if n_tokens > length:
        logger.warning("The text encoder reads %d of the %d tokens of the prompt %r.", length, n_tokens, text)
    options: dict[str, Any] = dict(padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return tokenizer(text, **options).input_ids
