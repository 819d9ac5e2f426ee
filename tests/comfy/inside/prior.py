"""ComfyPrior against direct calls of the same model, for each kind of prediction."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pack import load_pack

load = load_pack()
import comfy.model_base  # noqa: E402
import torch  # noqa: E402

demo, bridge = load("nodes.bridge.demo"), load("nodes.bridge.prior")
conditioning = load("nodes.bridge.conditioning")
folder = Path(sys.argv[3])
KINDS = comfy.model_base.ModelType


def gap(a, b):
    return float((a - b).abs().max())


def encode(clip, text):
    cond, pooled = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)
    return conditioning.to_condition([[cond, {"pooled_output": pooled}]])


def check(kind):
    model, clip, vae = demo.load_demo_models(folder)
    inner = model.model
    inner.model_type = kind
    inner.model_sampling = comfy.model_base.model_sampling(inner.model_config, kind)
    front, side = encode(clip, "a brick cube, front view"), encode(clip, "a brick cube, side view")
    uncond = encode(clip, "")
    generator = torch.Generator().manual_seed(1)
    x_0 = torch.randn(2, 4, 16, 16, generator=generator)
    noise = torch.randn(2, 4, 16, 16, generator=generator)
    images = torch.rand(2, 3, 64, 64, generator=generator)
    t = torch.tensor([700, 60])

    def body(prior):
        out = {}
        x_t = prior.schedule.add_noise(x_0, noise, t)
        forwards = []
        handle = inner.diffusion_model.register_forward_hook(lambda *a: forwards.append(len(a[1][0])))
        both = prior.predict_noise(x_t, t, [[front, side], [uncond, uncond]])
        out["forwards"] = list(forwards)
        handle.remove()
        alone = [
            prior.predict_noise(x_t[i : i + 1], t[i : i + 1], [[c]])[0] for i, c in enumerate((front, side))
        ]
        out["per_sample"] = gap(both[0], torch.cat(alone))
        out["views_differ"] = gap(both[0][1:], prior.predict_noise(x_t[1:], t[1:], [[front]])[0])
        if kind == KINDS.EPS:
            context = torch.cat([front.entries[0][0], side.entries[0][0]])
            with torch.no_grad():
                direct = inner.diffusion_model(x_t, t, context=context)
            out["direct"] = gap(both[0], direct)
        # a model that answers with the truth must give back the drawn noise
        real = inner._apply_model
        inner._apply_model = lambda x, *a, **k: x_0[: len(x)] if len(x) == 2 else torch.cat([x_0, x_0])
        out["identity"] = gap(prior.predict_noise(x_t, t, [[front, front]])[0], noise)
        inner._apply_model = real
        leaf = images.clone().requires_grad_(True)
        latents = prior.encode(leaf)
        latents.square().sum().backward()
        out["encode_gradient"] = float(leaf.grad.abs().max())
        out["roundtrip_shape"] = list(prior.decode(latents.detach()).shape)
        out["grad_of_prediction"] = both[0].requires_grad
        return out

    return bridge.with_prior(model, vae, [front, side, uncond], (2, 64, 64), body)


with torch.inference_mode():  # as ComfyUI runs every node
    print(json.dumps({kind.name: check(kind) for kind in (KINDS.EPS, KINDS.V_PREDICTION, KINDS.FLOW)}))
