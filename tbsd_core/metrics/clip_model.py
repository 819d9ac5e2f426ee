"""A CLIP model of transformers, from a folder that the user names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..optional import require
from .clip_score import preprocess

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of OpenAI's models


class ClipModel:
    """Projected embeddings of pictures and texts, both [*, D]."""

    def __init__(
        self, model: Any, tokenizer: Any, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
    ) -> None:
        self.model, self.tokenizer = model.eval().requires_grad_(False), tokenizer
        self.mean, self.std = mean, std

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """[B, D] of images [B, 3, H, W] in [0, 1]."""
        weight = self.model.visual_projection.weight
        size = self.model.config.vision_config.image_size
        pixels = preprocess(images.to(weight.device), size, self.mean, self.std).to(weight.dtype)
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        return self.model.visual_projection(pooled).float()

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """[P, D] of texts; text beyond the model's context is cut off."""
        weight = self.model.text_projection.weight
        limit = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        tokens = {k: v.to(weight.device) for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
        return self.model.text_projection(self.model.text_model(**tokens).pooler_output).float()


def load_clip_model(name: str, allow_download: bool = False, device: str = "cpu") -> ClipModel:
    """A CLIP from a folder as transformers saves it, or from the hub if that is allowed.

    Raises:
        FileNotFoundError: no such folder, and downloading was not allowed.
        ValueError: the folder holds something else.
    """
    path = Path(name).expanduser()
    if not path.is_dir() and not allow_download:
        raise FileNotFoundError(
            f"There is no folder {name!r} with a CLIP model (config.json, weights, tokenizer). Name one that "
            "transformers saved, or add --allow-download to fetch that name from the hub."
        )
    transformers = require("transformers")
    source = str(path) if path.is_dir() else name
    local = {"local_files_only": not allow_download}
    config = transformers.AutoConfig.from_pretrained(source, **local)
    if config.model_type != "clip":
        raise ValueError(f"{name} holds a model of type {config.model_type!r}; CLIP scores need one of type 'clip'.")
    model = transformers.CLIPModel.from_pretrained(source, use_safetensors=True, **local).to(device)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, **local)
    stored = path / "preprocessor_config.json"
    settings = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    return ClipModel(model, tokenizer, tuple(settings.get("image_mean", MEAN)), tuple(settings.get("image_std", STD)))
