"""CLIP scores of the bridge against transformers' own forward with the same random weights."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from pack import load_pack

load = load_pack()
import comfy.clip_vision  # noqa: E402
import torch  # noqa: E402
from transformers import (  # noqa: E402
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

bridge, demo, measure = (load(f"nodes.bridge.{name}") for name in ("clip", "demo", "measure"))
tiny = __import__("tiny")
WEIGHTS = Path(sys.argv[3])
PROMPTS = ["a brick house", "a wooden torus, front view"]


def vision(width: int):
    """comfy's CLIP Vision and transformers' with the same weights."""
    config = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    config |= dict(image_size=32, patch_size=8, num_channels=3, projection_dim=width, hidden_act="quick_gelu")
    theirs = tiny.randomize(CLIPVisionModelWithProjection(CLIPVisionConfig(**config)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config | {"model_type": "clip_vision_model"}))
        ours = comfy.clip_vision.ClipVisionModel(str(path))
    weights = {k: v.clone() for k, v in theirs.state_dict().items()}
    missing, unexpected = ours.load_sd(weights)
    assert not missing and all("position_ids" in k for k in unexpected), (missing, unexpected)
    return ours, theirs


def text():
    """The demo's text encoder with a random projection, in both."""
    config = json.loads((WEIGHTS / "text_encoder" / "config.json").read_text())
    clip = demo.load_clip(WEIGHTS)
    encoder = clip.cond_stage_model.clip_l
    width = config["hidden_size"]
    projection = torch.randn(width, width, generator=torch.Generator().manual_seed(1)) / width**0.5
    encoder.transformer.text_projection.weight.data.copy_(projection)
    theirs = CLIPTextModelWithProjection(CLIPTextConfig(**{**config, "projection_dim": width}))
    weights = {k: v.detach().clone() for k, v in encoder.transformer.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert not [k for k in missing if "position_ids" not in k] and not unexpected, (missing, unexpected)
    return clip, theirs.eval(), width


def refused(run) -> str:
    try:
        run()
    except ValueError as error:
        return str(error)
    return ""


clip, text_model, width = text()
clip_vision, vision_model = vision(width)
images = torch.rand(3, 32, 32, 3, generator=torch.Generator().manual_seed(2))
with torch.inference_mode():  # as ComfyUI calls nodes
    found, remarks = measure.measure(images, "", PROMPTS[0], PROMPTS[1:], clip_vision, clip)
    plain, _ = measure.measure(images, "", "", [])
    other = refused(lambda: measure.measure(images, "", PROMPTS[0], [], vision(24)[0], clip))
    bare = refused(lambda: measure.measure(images, "", PROMPTS[0], [], clip_vision, demo.load_clip(WEIGHTS)))
    half = refused(lambda: measure.measure(images, "", PROMPTS[0], [], clip_vision, None))
    no_prompt = refused(lambda: measure.measure(images, "", " ", [], clip_vision, clip))
    no_object = refused(lambda: measure.measure(images, "brick", "", []))

mean, std = torch.tensor(clip_vision.image_mean), torch.tensor(clip_vision.image_std)
pixels = (((images * 255).round() / 255 - mean) / std).movedim(-1, 1)
with torch.no_grad():
    image_embeds = vision_model(pixel_values=pixels).image_embeds
    rows = []
    for prompt in PROMPTS:
        (tokens, *_) = clip.tokenize(prompt)["l"]
        rows.append(text_model(input_ids=torch.tensor([[token for token, *_ in tokens]])).text_embeds)
cosine = torch.nn.functional.cosine_similarity(image_embeds[:, None], torch.cat(rows)[None], dim=-1)  # [B, P]
print(
    json.dumps(
        {
            "score": found["clip_score"],
            "expected_score": float(100 * cosine[:, 0].clamp(min=0).mean()),
            "r_precision": found["clip_r_precision"],
            "expected_r_precision": float((cosine.argmax(1) == 0).float().mean()),
            "spread": float(cosine.std()),
            "remarks": remarks,
            "plain": sorted(plain),
            "refused": {"other": other, "bare": bare, "half": half, "no_prompt": no_prompt, "no_object": no_object},
        }
    )
)
