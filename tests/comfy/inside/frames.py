"""Image models whose latents have an axis of frames, and Z-Image: as priors, against the host's encode and decode."""

from __future__ import annotations

import json

from pack import load_pack

load = load_pack()
import tiny  # noqa: E402
import torch  # noqa: E402

bridge, conditioning = load("nodes.bridge.prior"), load("nodes.bridge.conditioning")
picture_scene, scenes = load("nodes.bridge.interop.pictures").picture_scene, load("tbsd_core.scenes")
adapter, guidance = load("tbsd_core.optim.adapter"), load("tbsd_core.guidance")

MODELS = {  # comfy's class, model, VAE, width of the embeddings
    "QwenImage": (tiny.qwen_image, tiny.wan_vae, tiny.WIDTH),
    "Anima": (tiny.anima, tiny.wan_vae, 1024),
    "Krea2": (tiny.krea2, tiny.wan_vae, 32),
    "ZImage": (tiny.z_image, lambda: tiny.vae(16), tiny.WIDTH),
}
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def gap(a, b):
    return float((a - b).norm() / b.norm())


def cond(seed: int, width: int, **options):
    embedding = torch.randn(1, 6, width, generator=torch.Generator().manual_seed(seed))
    return conditioning.to_condition([[embedding, {"pooled_output": None, **options}]])


def trained(prior, latents, condition) -> float | str:
    """The share of a LoRA's parameters that two steps of training move, or why it cannot be trained."""
    try:
        state = adapter.create_adapter(prior, guidance.build_guidance("vsd"), 0)
    except RuntimeError as error:
        return str(error)
    before = [p.detach().clone() for p in state.adapter.parameters()]
    poses = torch.randn(2, 16, generator=torch.Generator().manual_seed(4))
    for step in range(2):
        state.gradient(latents, [condition] * 2, poses, prior.schedule, 1, step)
        state.optimizer.step()
    moved = [not torch.equal(p, w) for p, w in zip(state.adapter.parameters(), before, strict=True)]
    return sum(moved) / len(moved)


def measure(name) -> dict:
    make_model, make_vae, width = MODELS[name]
    model, vae = make_model(), make_vae()
    options = {}
    if name == "Anima":  # the tokens of a second text encoder, which the model itself reads
        options = {"t5xxl_ids": torch.tensor([1, 2, 3]), "t5xxl_weights": torch.ones(3)}
    rows = [cond(0, width, **options), cond(1, width, **options)]
    drawn = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(3))

    def body(prior):
        leaf = IMAGES.clone().requires_grad_()
        latents = prior.encode(leaf)
        noise = drawn.clone()
        (latents * noise).sum().backward()
        x_0, n = latents.detach(), prior.schedule.n_timesteps
        t = torch.tensor([n // 2, n // 5])
        x_t = prior.schedule.add_noise(x_0, noise, t)
        both = prior.predict_noise(x_t, t, [[c] * 2 for c in rows])
        alone = [
            torch.cat([prior.predict_noise(x_t[i : i + 1], t[i : i + 1], [[c]])[0] for i in range(2)]) for c in rows
        ]
        return {
            "latents": x_0,
            "gradient": float(leaf.grad.norm()),
            "shape": list(both[0].shape),
            "batched": max(gap(a, b) for a, b in zip(both, alone, strict=True)),
            "differ": gap(both[0], both[1]),
            "trained": trained(prior, x_0, rows[0]),
            "pictures": prior.decode(x_0),
        }

    found = bridge.with_prior(model, vae, rows, (2, 64, 64), body, True)
    latents, pictures = found.pop("latents"), found.pop("pictures")
    own = torch.cat([vae.encode(image[None].movedim(1, -1)) for image in IMAGES])
    scaled = model.model.process_latent_in(own)
    shown = torch.cat([vae.decode(z[None]).reshape(1, 64, 64, 3) for z in own]).movedim(-1, 1)
    flat = scaled.reshape(latents.shape)
    config = scenes.SCENES["latent"].config(size=8, channels=16)
    start = picture_scene(IMAGES.movedim(1, -1), config, 64, vae, model).latents.detach()
    return {**found, "encode": gap(latents, flat), "decode": gap(pictures, shown), "start": gap(start, flat)}


def told(name) -> list[str]:
    return load("nodes.bridge.family").model_family(MODELS[name][0]())


with torch.inference_mode():
    known = [name for name in MODELS if tiny.has_model(name)]
    print(json.dumps({name: {**measure(name), "family": told(name)} for name in known}))
