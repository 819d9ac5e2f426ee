"""The differentiable encoder on tiny autoencoders: dtypes, recomputation, TAESD, latent scaling, and a long run."""

from __future__ import annotations

import json
import os
import tempfile

from pack import load_pack

load = load_pack()
import comfy.latent_formats  # noqa: E402
import comfy.model_management  # noqa: E402
import folder_paths  # noqa: E402
import psutil  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402

autoencoder, bridge = load("nodes.bridge.autoencoder"), load("nodes.bridge.prior")
conditioning, autograd = load("nodes.bridge.conditioning"), load("nodes.bridge.autograd")
demo, run_module, sockets = load("nodes.bridge.demo"), load("nodes.bridge.run"), load("nodes.sockets")
prompts_module, core = load("nodes.bridge.prompts"), load("tbsd_core.guidance")
optim, scenes, cameras = load("tbsd_core.optim"), load("tbsd_core.scenes"), load("tbsd_core.cameras.sampling")

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
WEIGHTS = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))


def gap(a, b):
    return float((a - b).abs().max())


def gradient(encode):
    """Latents and their gradient on the images, with the bytes kept for backward."""
    with autograd.optimization_mode():
        leaf, kept = IMAGES.clone().requires_grad_(True), {}

        def pack(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            latents = encode(leaf)
        (latents * WEIGHTS).sum().backward()
    return latents.detach(), leaf.grad, sum(kept.values())


def scaled_vae(dtype):
    """A VAE whose activations leave the range of float16, as SDXL's do."""
    vae = tiny.vae()
    conv = vae.first_stage_model.encoder.conv_in
    conv.weight.data.mul_(6e4)
    weights = vae.first_stage_model.state_dict()
    return comfy.sd.VAE(sd=weights, config={"params": {"ddconfig": tiny.DD, "embed_dim": 4}}, dtype=dtype)


def half():
    vae, full = scaled_vae(torch.float16), scaled_vae(torch.float32)
    own = vae.first_stage_model.encode(vae.process_input(IMAGES).half())
    with autograd.optimization_mode():
        ours, exact = autoencoder.Autoencoder(vae), autoencoder.Autoencoder(full)
    latents, grad, _ = gradient(ours.encode)
    expected, expected_grad, _ = gradient(exact.encode)
    scale, grad_scale = float(expected.abs().max()), float(expected_grad.abs().max())
    after = vae.first_stage_model.encode(vae.process_input(IMAGES).half())
    return {
        "overflows": not bool(torch.isfinite(own).all()),
        "latents": gap(latents, expected) / scale,
        "gradient": gap(grad, expected_grad) / grad_scale,
        "dtypes": sorted({str(p.dtype) for p in vae.first_stage_model.parameters()}),
        "after": str(after.dtype),
        "decoded": bool(torch.isfinite(ours.decode(WEIGHTS)).all()),
    }


def recomputation():
    with autograd.optimization_mode():
        ours = autoencoder.Autoencoder(tiny.vae(dtype=torch.float16))
    latents, grad, kept = gradient(ours.encode)
    mm, free = comfy.model_management, comfy.model_management.get_free_memory
    mm.get_free_memory = lambda *args, **kwargs: 2**24
    try:
        again, same_grad, less = gradient(ours.encode)
        one_by_one = ours.decode(WEIGHTS)
    finally:
        mm.get_free_memory = free
    patched = [n for n, m in ours.module.named_modules() if "forward" in vars(m)]
    return {
        "latents": gap(latents, again),
        "gradient": gap(grad, same_grad),
        "kept": less / kept,
        "patched": patched,
        "decoded": gap(one_by_one, ours.decode(WEIGHTS)),
    }


def estimate():
    """The memory asked of the host for an encoder of Stable Diffusion's shape, over the plan's measure of it."""
    config = {"ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2}
    vae = tiny.vae(dtype=torch.float32, **config)
    counting, plan = load("tbsd_core.counting"), load("tbsd_core.experiment.plan")
    ratios = []
    with autograd.optimization_mode():
        ours = autoencoder.Autoencoder(vae)
        images = IMAGES[:1].repeat(1, 1, 2, 2).requires_grad_()
        ours.encode(images)  # which checks the gradient
        for ours.recompute in (False, True):
            found = counting.counted(lambda: ours.encode(images), lambda z: torch.autograd.grad(z.sum(), [images]))
            ratios.append(autoencoder.encoding_memory(vae, (1, 128, 128), ours.recompute) / plan.MARGIN / found.bytes)
    return ratios


def prior_gradient(model, vae):
    entries = conditioning.to_condition(tiny.conditioning(0))
    return bridge.with_prior(model, vae, [entries], (2, 64, 64), lambda prior: gradient(prior.encode))


def taesd():
    """TAESD's network makes latents in the model's scale; ComfyUI divides by the scale, and the model multiplies."""
    vae = tiny.taesd(0.18215)
    latents, grad, _ = prior_gradient(tiny.unet(), vae)
    public = vae.encode(IMAGES.movedim(1, -1)) * 0.18215
    return {
        "network": gap(latents, vae.first_stage_model.taesd_encoder(IMAGES)),
        "public": gap(latents, public),
        "gradient": float(grad.abs().min(dim=1).values.max()),
    }


def playground():
    """A latent format with tensors of its own, made by a loader in inference mode."""
    model, vae = tiny.unet(latent=comfy.latent_formats.SDXL_Playground_2_5), tiny.vae()
    latents, grad, _ = prior_gradient(model, vae)
    public = model.model.latent_format.process_in(vae.encode(IMAGES.movedim(1, -1)))
    return {"public": gap(latents, public), "gradient": float(grad.abs().max())}


def trainable_weights():
    """Weights that another node left trainable collect no gradient."""
    with autograd.optimization_mode():
        vae = tiny.vae()
        vae.first_stage_model.requires_grad_(True)
        ours = autoencoder.Autoencoder(vae)
    gradient(ours.encode)
    return sum(p.grad is not None for module in (vae.first_stage_model, ours.module) for p in module.parameters())


def long_run():
    """Demo models, 220 steps of a picture with TBSD: resident memory, and the encoder calls of a latent picture."""
    model, clip, vae = demo.load_demo_models()
    config = load("tbsd_core.prompts").PromptConfig(prompt="a brick house", view_dependent=False)
    names = ("target", "uncond", "target_negative")
    prompts = prompts_module.Prompts(prompts_module.encode_prompts(clip, config, names), clip, config)
    guided = sockets.GuidedModel(model, vae, prompts, core.build_guidance("tbsd"))
    resident = []
    calls = []
    kind = type(vae.first_stage_model.encoder)
    encode = kind.forward
    kind.forward = lambda *a, **k: calls.append(1) or encode(*a, **k)
    process = psutil.Process(os.getpid())

    class Progress(run_module.RunProgress):
        def __call__(self, *arguments):
            resident.append(process.memory_info().rss / 2**20)

    run_module.RunProgress = Progress
    with autograd.optimization_mode():
        picture = scenes.ImageScene(scenes.ImageConfig(size=32))
        latent = scenes.LatentImageScene(scenes.LatentImageConfig(size=8))

    def run(scene, n_steps):
        settings = optim.OptimConfig(n_steps=n_steps, views_per_step=1, size=32)
        config = load("nodes.bridge.config").config_of(guided, scene, cameras.CameraConfig(), settings)
        run_module.run(guided, scene, config, load("nodes.bridge.queued").Queued("1"))

    with tempfile.TemporaryDirectory() as output:
        folder_paths.set_output_directory(output)
        run(picture, 220)
        encoded = len(calls)
        run(latent, 3)
    kind.forward = encode
    steps = torch.arange(170, dtype=torch.float64)
    tail = torch.tensor(resident[50:220], dtype=torch.float64)
    slope = float(((steps - steps.mean()) * (tail - tail.mean())).sum() / ((steps - steps.mean()) ** 2).sum())
    return {"slope": slope, "encoded": encoded, "encoded_latent": len(calls) - encoded}


with torch.inference_mode():  # as ComfyUI runs every node
    report = {
        "half": half(),
        "recomputation": recomputation(),
        "estimate": estimate(),
        "taesd": taesd(),
        "playground": playground(),
        "trainable_weights": trainable_weights(),
        "long_run": long_run(),
    }
    print(json.dumps(report))
