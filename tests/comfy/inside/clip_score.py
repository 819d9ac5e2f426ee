"""CLIP scores of the bridge with random weights, which are written out for an independent computation."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from pack import load_pack

load = load_pack()
import comfy.clip_vision  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tiny import randomize  # noqa: E402
from tiny_clip import text  # noqa: E402

measure = load("nodes.bridge.measure")
OUT = Path(sys.argv[3])
PROMPTS = ["a brick house", "a wooden torus, front view"]


def vision(width: int):
    """comfy's CLIP Vision with an embedding of this width, and its config."""
    config = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    config |= dict(image_size=32, patch_size=8, num_channels=3, projection_dim=width, hidden_act="quick_gelu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config | {"model_type": "clip_vision_model"}))
        model = comfy.clip_vision.ClipVisionModel(str(path))
    randomize(model.model)
    return model, config


def refused(run) -> str:
    try:
        run()
    except ValueError as error:
        return str(error)
    return ""


width = 32
projection = torch.randn(width, width, generator=torch.Generator().manual_seed(1)) / width**0.5
(clip, text_config), (bare_clip, _) = text(projection), text(torch.eye(width))
transformer = clip.cond_stage_model.clip_l.transformer
clip_vision, vision_config = vision(width)
images = torch.rand(3, 32, 32, 3, generator=torch.Generator().manual_seed(2))
with torch.inference_mode():  # as ComfyUI calls nodes
    found, remarks = measure.measure(images, "", PROMPTS[0], PROMPTS[1:], clip_vision, clip)
    plain, _ = measure.measure(images, "", "", [])
    other = refused(lambda: measure.measure(images, "", PROMPTS[0], [], vision(24)[0], clip))
    bare = refused(lambda: measure.measure(images, "", PROMPTS[0], [], clip_vision, bare_clip))
    half = refused(lambda: measure.measure(images, "", PROMPTS[0], [], clip_vision, None))
    no_prompt = refused(lambda: measure.measure(images, "", " ", [], clip_vision, clip))
    no_object = refused(lambda: measure.measure(images, "brick", "", []))

ids = [[token for token, *_ in clip.tokenize(prompt)["l"][0]] for prompt in PROMPTS]
tensors = {"images": images, "ids": torch.tensor(ids)}
tensors |= {f"vision.{k}": v for k, v in clip_vision.model.state_dict().items()}
tensors |= {f"text.{k}": v for k, v in transformer.state_dict().items()}
save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, str(OUT))
print(
    json.dumps(
        {
            "score": found["clip_score"],
            "r_precision": found["clip_r_precision"],
            "vision_config": vision_config,
            "text_config": text_config,
            "remarks": remarks,
            "plain": sorted(plain),
            "refused": {"other": other, "bare": bare, "half": half, "no_prompt": no_prompt, "no_object": no_object},
        }
    )
)
