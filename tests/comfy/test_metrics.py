"""Image Metrics: on the server without CLIP, and its CLIP score against an independent computation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

INSIDE = Path(__file__).parent / "inside"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("clip") / "clip.safetensors"


@pytest.fixture(scope="module")
def report(comfyui, weights) -> dict:
    return comfyui.run_script(INSIDE / "clip_score.py", weights)


def test_clip_score_and_r_precision_are_those_of_transformers(report, weights):
    """The same weights in transformers' classes, which share no code with comfy's."""
    from safetensors.torch import load_file
    from transformers import (
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    tensors = load_file(weights)
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**report["vision_config"])).eval()
    text = CLIPTextModelWithProjection(CLIPTextConfig(**report["text_config"])).eval()
    for name, model in (("vision", vision), ("text", text)):
        own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
        missing, unexpected = model.load_state_dict(own, strict=False)
        assert not [k for k in (*missing, *unexpected) if "position_ids" not in k]
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    pixels = (((tensors["images"] * 255).round() / 255 - mean) / std).movedim(-1, 1)
    with torch.no_grad():
        image_embeds = vision(pixel_values=pixels).image_embeds
        text_embeds = text(input_ids=tensors["ids"]).text_embeds
    cosine = torch.nn.functional.cosine_similarity(image_embeds[:, None], text_embeds[None], dim=-1)  # [B, P]
    assert report["score"] == pytest.approx(float(100 * cosine[:, 0].clamp(min=0).mean()), abs=1e-2)
    assert report["r_precision"] == pytest.approx(float((cosine.argmax(1) == 0).float().mean()))
    assert cosine.std() > 1e-3, "otherwise the test says nothing"


def test_random_weights_do_not_know_colours_and_the_table_says_so(report):
    (remark,) = report["remarks"]
    assert "probably come from different CLIP models" in remark


REFUSALS = {
    "other": "come from different CLIP models",
    "bare": "came without its projection",
    "half": "connect clip_vision and clip, or neither",
    "no_prompt": "needs a prompt",
    "no_object": "one object and one material",
}


@pytest.mark.parametrize("case, message", REFUSALS.items())
def test_what_does_not_belong_together_is_refused(report, case, message):
    assert message in report["refused"][case]


def test_without_clip_there_is_no_clip_score(report):
    assert report["plain"] == ["colourfulness", "contrast", "saturation", "sharpness"]


def node(kind: str, /, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


@pytest.mark.once
def test_pictures_are_measured_against_the_truth(server):
    flat = node("EmptyImage", width=64, height=64, batch_size=2, color=0x3366CC)
    metrics = node("TBSD_Metrics", images=["flat", 0], truth_prompt="a brick house", prompt="", other_prompts="")
    outputs = server.run(
        {"flat": flat, "metrics": metrics, "score": node("PreviewAny", source=["metrics", 5])}
        | {"contrast": node("PreviewAny", source=["metrics", 3])}
    )
    (text,) = outputs["metrics"]["text"]
    assert "mean over 2 pictures" in text and "identity shape" in text and "silhouette iou" in text
    assert outputs["score"]["text"] == ["nan"], "not taken"
    assert float(outputs["contrast"]["text"][0]) == pytest.approx(0, abs=1e-4)
