"""Largest differences between the demo models and reference tensors of the same weights in diffusers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pack import load_pack

load = load_pack()
import torch  # noqa: E402  (ComfyUI sets its device flags before torch is imported)
from safetensors.torch import load_file  # noqa: E402

model, clip, vae = load("nodes.bridge.demo").load_demo_models(Path(sys.argv[3]))
reference = load_file(sys.argv[4])
text = "a photo of a brick cube, front view"
with torch.inference_mode():
    context = clip.encode_from_tokens(clip.tokenize(text))
    eps = model.model.diffusion_model(reference["x_t"], reference["t"], context=context.expand(2, -1, -1))
    latents = vae.encode(reference["images"].movedim(1, -1))
    images = vae.decode(reference["latents"]).movedim(-1, 1)
    weighted = clip.encode_from_tokens(clip.tokenize("a photo of a (brick:1.3) cube, front view"))
# groups of views, each row with its camera, against the same model without them
multiview, _, _ = load("nodes.bridge.demo").load_demo_models(Path(sys.argv[3]), "multiview")
bridge, to_condition = load("nodes.bridge.prior"), load("nodes.bridge.conditioning").to_condition
base = load("tbsd_core.priors.base")
Viewed, LoRAConfig = base.Viewed, base.LoRAConfig
with torch.inference_mode():
    encoded = [clip.encode_from_tokens_scheduled(clip.tokenize(words)) for words in (text, "")]
conditions = [to_condition(c) for c in encoded]
angles = reference["angles"].tolist()


def of_groups(prior):
    def predict(rows):
        return prior.predict_noise(reference["views"], reference["t_views"], rows)

    viewed = predict([[Viewed(c, *a) for a in angles] for c in conditions])
    return prior.views_per_group, viewed, predict([[c] * len(angles) for c in conditions])


size, viewed, plain = bridge.with_prior(multiview, vae, conditions, (len(angles), 64, 64), of_groups)


def of_a_lora(prior):
    """The network's prediction with a LoRA that does nothing yet, and whether that can be trained."""
    adapter, row = prior.make_adapter(LoRAConfig(), 0), [Viewed(conditions[0], *a) for a in angles]
    eps = adapter.predict_noise(reference["views"], reference["t_views"], row, None)
    poses = torch.ones(len(angles), 16)
    adapter.training_loss(reference["views"], reference["t_views"], row, poses, reference["views"]).backward()
    return eps, max(float(p.grad.abs().max()) for p in adapter.up)


eps_of_lora, trained = bridge.with_prior(multiview, vae, conditions, (len(angles), 64, 64), of_a_lora, True)
try:
    clip.tokenize("a brick dragon")
    unknown = ""
except ValueError as error:
    unknown = str(error)


def gap(a, b):
    return float((a - b).abs().max())


report = {
    "text": gap(context, reference["context"]),
    "eps": gap(eps, reference["eps"]),
    "latents": gap(latents, reference["latents"]),
    "images": gap(images, reference["images_decoded"].clamp(0, 1)),
    "weighted": gap(weighted, context),
    "group": size,
    "viewed": gap(torch.cat(viewed), reference["viewed"]),
    "lora": gap(eps_of_lora, reference["viewed"][: len(angles)]),
    "trained": trained,
    "plain": gap(torch.cat(plain), reference["plain"]),
    "unknown": unknown,
    "spatial_factor": vae.spacial_compression_encode(),
}
print(json.dumps(report))
