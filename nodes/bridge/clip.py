"""Embeddings of pictures and texts from ComfyUI's CLIP VISION and CLIP, for the CLIP score."""

from __future__ import annotations

import comfy.model_management
import comfy.sd1_clip
import torch
from torch import Tensor

from .autograd import optimization_mode

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 0.6, 0.0), "blue": (0.0, 0.0, 1.0)}


def embed_images(clip_vision, images: Tensor) -> Tensor:
    """Projected embeddings [B, D] of an IMAGE [B, H, W, 3].

    Raises:
        ValueError: the model has no embeddings that could be compared with texts.
    """
    out = []
    for image in images:  # one by one: a turntable at once may not fit
        comfy.model_management.throw_exception_if_processing_interrupted()
        out.append(clip_vision.encode_image(image[None])["image_embeds"])
    embeds = torch.cat(out)
    if embeds.ndim != 2 or not hasattr(clip_vision.model, "visual_projection"):
        raise ValueError(
            "This CLIP Vision model shares no embedding with a text encoder (SigLIP and DINO do not). Load the "
            "vision half of a CLIP, such as CLIP-ViT-L or CLIP-ViT-H."
        )
    return embeds.float()


def embed_texts(clip, texts: list[str], width: int) -> Tensor:
    """Projected embeddings [P, width] of texts by the encoder of a CLIP socket that has this width.

    Weights such as (brick:1.3) are read and left out; tokens after the first 77 are cut off.

    Raises:
        ValueError: no encoder of that width, or one without the projection that CLIP scores need.
    """
    encoders = {
        name: part
        for name, part in clip.cond_stage_model.named_children()
        if isinstance(part, comfy.sd1_clip.SDClipModel) and hasattr(part.transformer, "text_projection")
    }
    widths = {name: part.transformer.text_projection.weight.shape[0] for name, part in encoders.items()}
    fitting = [name for name in encoders if widths[name] == width]
    if not fitting:
        have = ", ".join(f"{name}: {w}" for name, w in widths.items()) or "none of CLIP's kind"
        raise ValueError(
            f"CLIP and CLIP Vision come from different CLIP models: embeddings of pictures have {width} numbers, "
            f"embeddings of texts do not ({have}). Load both halves of the same CLIP."
        )
    name = fitting[0]
    encoder = encoders[name]
    clip.load_model()
    check_projection(encoder.transformer.text_projection.weight, name)
    rows = []
    with torch.no_grad():
        encoder.reset_clip_options()
        # without the device, dynamic VRAM computes on the CPU, where patches are left out
        encoder.set_clip_options({"projected_pooled": True, "execution_device": clip.patcher.load_device})
        try:
            for text in texts:
                (first, *_) = clip.tokenize(text)[name.removeprefix("clip_")]
                rows.append(encoder.encode([[token for token, *_ in first]])[1])
        finally:
            encoder.reset_clip_options()
    return torch.cat(rows).float().cpu()


def check_projection(weight: Tensor, name: str) -> None:
    """Raise ValueError for the text projection of a checkpoint that has none: identity, zeros, left-over memory."""
    weight = weight.detach().float().cpu()
    rms = float(weight.pow(2).mean().sqrt())
    identity = torch.allclose(weight, torch.eye(len(weight)), atol=1e-3)
    if identity or not 1e-4 < rms < 10 or float((weight == 0).float().mean()) > 0.5:
        raise ValueError(
            f"The text encoder {name} came without its projection, so its texts cannot be compared with pictures: "
            "checkpoints of Stable Diffusion leave it out. Load the whole CLIP with Load CLIP."
        )


def tell_apart(clip_vision, clip) -> bool:
    """Whether the two know red, green and blue pictures by their names: two halves of one CLIP do."""
    size = 64
    pictures = torch.stack([torch.tensor(c).expand(size, size, 3) for c in COLOURS.values()])
    images = embed_images(clip_vision, pictures)
    texts = embed_texts(clip, [f"a plain {name} picture" for name in COLOURS], images.shape[1])
    scores = torch.nn.functional.normalize(images.cpu(), dim=1) @ torch.nn.functional.normalize(texts, dim=1).T
    return scores.argmax(1).tolist() == list(range(len(COLOURS)))


def embeddings(clip_vision, clip, images: Tensor, texts: list[str]) -> tuple[Tensor, Tensor, str]:
    """Embeddings of pictures [B, D] and texts [P, D], and a warning ("" for none).

    Raises:
        ValueError: the two sockets do not hold halves of one CLIP.
    """
    with optimization_mode(), torch.no_grad():
        image_embeds = embed_images(clip_vision, images.clone()).cpu()
        text_embeds = embed_texts(clip, texts, image_embeds.shape[1])
        warning = ""
        if not tell_apart(clip_vision, clip):
            warning = (
                "Warning: with this CLIP and CLIP Vision a plain red, green or blue picture is not closest to its "
                "own name. They probably come from different CLIP models, and the CLIP scores then mean nothing."
            )
    return image_embeds, text_embeds, warning
