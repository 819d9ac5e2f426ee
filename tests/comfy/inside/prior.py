"""ComfyPrior on tiny models of every family, against exact answers and against one evaluation at a time."""

from __future__ import annotations

import json

from pack import load_pack

load = load_pack()
import comfy.hooks  # noqa: E402
import comfy.latent_formats  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.utils  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402
from comfy.model_base import ModelType  # noqa: E402

bridge, conditioning = load("nodes.bridge.prior"), load("nodes.bridge.conditioning")
from comfy_extras import nodes_easycache, nodes_model_advanced  # noqa: E402

advanced = nodes_model_advanced.NODE_CLASS_MAPPINGS
FRACTIONS = (0.35, 0.6, 0.8, 0.98)


def gap(a, b):
    return float((a - b).abs().max())


def cond(seed, **options):
    return conditioning.to_condition(tiny.conditioning(seed, **options))


def latents(channels=4, batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, channels, 8, 8, generator=generator) for _ in range(2)]


def run(model, conditions, body, channels=4, batch=2, **more):
    return bridge.with_prior(model, tiny.vae(channels), conditions, (batch, 64, 64), body, **more)


def forwards(inner, counts):
    return inner.diffusion_model.register_forward_hook(lambda module, args, out: counts.append(len(out)))


def predict(model, *conditions, t=(700, 60), channels=4):
    """K predictions for two samples of which each condition is the same for all."""
    x_t, _ = latents(channels)

    def body(prior):
        return prior.predict_noise(x_t, torch.tensor(t), [[c] * 2 for c in conditions])

    return run(model, conditions, body, channels)


def sampling(model, node, **options):
    (patched,) = getattr(advanced[node](), advanced[node].FUNCTION)(model, **options)
    return patched


def families():
    """MODEL and what an ideal network answers, from x_0, noise and sigma [B, 1, 1, 1] in float64."""

    def eps(x_0, noise, s):
        return noise

    def flow(x_0, noise, s):
        return noise - x_0

    def denoised(x_0, noise, s):
        return x_0

    def v(sign, data):
        def network(x_0, noise, s):
            total = s**2 + data**2
            return sign * ((x_0 + s * noise) * data**2 / total - x_0) * total**0.5 / (s * data)

        return network

    def cosmos(x_0, noise, s):
        time = s / (s + 1)
        return ((x_0 + s * noise) * (1 - time) - x_0) / time

    edm = dict(sigma_max=120.0, sigma_min=0.002)
    return {
        "EPS": (tiny.unet(), eps),
        "EPS zero terminal SNR": (sampling(tiny.unet(), "ModelSamplingDiscrete", sampling="eps", zsnr=True), eps),
        "X0": (sampling(tiny.unet(), "ModelSamplingDiscrete", sampling="x0", zsnr=False), denoised),
        "V": (tiny.unet(ModelType.V_PREDICTION), v(1, 1.0)),
        "V EDM": (tiny.unet(ModelType.V_PREDICTION_EDM), v(1, 1.0)),
        "V continuous": (tiny.unet(ModelType.V_PREDICTION_CONTINUOUS), v(1, 1.0)),
        "EDM": (sampling(tiny.unet(), "ModelSamplingContinuousEDM", sampling="edm_playground_v2.5", **edm), v(-1, 0.5)),
        "cosmos": (sampling(tiny.unet(), "ModelSamplingContinuousEDM", sampling="cosmos_rflow", **edm), cosmos),
        "FLOW": (tiny.unet(ModelType.FLOW, sampling={"shift": 3.0}), flow),
        "FLOW large shift": (sampling(tiny.unet(), "ModelSamplingSD3", shift=100.0), flow),
        "FLUX": (tiny.unet(ModelType.FLUX), flow),
        "FLUX large picture": (
            sampling(tiny.unet(), "ModelSamplingFlux", max_shift=1.15, base_shift=0.5, width=4096, height=4096),
            flow,
        ),
        "FLUX no shift": (
            sampling(tiny.unet(), "ModelSamplingFlux", max_shift=0.0, base_shift=0.0, width=1024, height=1024),
            flow,
        ),
    }


def identity(model, network):
    """Largest error of the noise that comes back from an ideal network, and the same times sigma_t at low noise."""
    x_0, noise = latents(batch=4)

    def body(prior):
        def ideal(x, timesteps, **kwargs):
            level = prior._levels.values[0].double()[t].view(-1, 1, 1, 1)
            answer = network(x_0.double(), noise.double(), level).float()
            return answer.repeat(len(x) // len(answer), 1, 1, 1)

        prior._inner.diffusion_model.forward = ideal
        last = prior.schedule.n_timesteps - 1
        t = torch.tensor([round(f * last) for f in FRACTIONS])
        result = [gap(e, noise) for e in prior.predict_noise(prior.schedule.add_noise(x_0, noise, t), t, [[c] * 4] * 2)]
        t = torch.tensor([0, 1, round(0.02 * last), round(0.1 * last)])
        _, sigma_t = prior.schedule.alpha_sigma(t)
        low = prior.predict_noise(prior.schedule.add_noise(x_0, noise, t), t, [[c] * 4])[0]
        return {"error": max(result), "low": float(((low - noise) * sigma_t).abs().max()), "levels": last + 1}

    c = cond(0)
    return run(model, [c], body, batch=4)


def batched(model, channels=4, lengths=(7, 7), **options):
    """Two conditions of two views at two timesteps in one go, and one by one."""
    views = [cond(i, tokens=lengths[i % 2], **options) for i in range(4)]
    x_t, _ = latents(channels)
    t = torch.tensor([700, 60])

    def body(prior):
        counts = []
        handle = forwards(prior._inner, counts)
        both = prior.predict_noise(x_t, t, [views[:2], views[2:]])
        handle.remove()
        single = [
            torch.cat([prior.predict_noise(x_t[i : i + 1], t[i : i + 1], [[row[i]]])[0] for i in range(2)])
            for row in (views[:2], views[2:])
        ]
        other = prior.predict_noise(x_t, t, [[views[0]] * 2])[0]
        return {
            "forwards": counts,
            "difference": max(gap(a, b) for a, b in zip(both, single, strict=True)),
            "views_differ": gap(other[1:], both[0][1:]),
            "finite": all(bool(torch.isfinite(e).all()) for e in both),
            "dtype": str(both[0].dtype),
            "requires_grad": both[0].requires_grad,
        }

    return run(model, views, body, channels)


def direct():
    """An EPS prediction against a plain call of the UNet."""
    model, c = tiny.unet(), cond(0)
    x_t, _ = latents()
    t = torch.tensor([700, 60])
    predicted = run(model, [c], lambda prior: prior.predict_noise(x_t, t, [[c] * 2])[0])
    return gap(predicted, model.model.diffusion_model(x_t, t, context=c.entries[0][0].expand(2, -1, -1)))


def half_precision():
    model = tiny.unet(dtype=torch.bfloat16)
    eps = predict(model, cond(0))[0]
    return {"dtype": str(eps.dtype), "weights": str(model.model.diffusion_model.out[2].weight.dtype),
            "difference": gap(eps, predict(tiny.unet(), cond(0))[0])}


def lora():
    """A LoRA as a patch of the MODEL and as a hook on a condition, and the model after both."""
    layer = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k"
    generator = torch.Generator().manual_seed(4)
    up, down = torch.randn(64, 2, generator=generator), torch.randn(2, tiny.WIDTH, generator=generator)
    weights = {f"{layer}.lora_up.weight": up, f"{layer}.lora_down.weight": down}
    model, plain = tiny.unet(), cond(0)
    before = predict(model, plain)[0]
    patched, _ = comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)
    by_patch = predict(patched, plain)[0]
    restored = predict(model, plain)[0]
    hooked = cond(0, hooks=comfy.hooks.create_hook_lora(weights, 1.0, 0.0))
    by_hook, beside = predict(model, hooked, plain)
    return {
        "effect": gap(by_patch, before),
        "restored": gap(restored, before),
        "hook_is_patch": gap(by_hook, by_patch),
        "hook_leaves_the_others": gap(beside, before),
        "after": gap(predict(model, plain)[0], before),
    }


def control():
    hint = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    model, plain, uncond = tiny.unet(), cond(0), cond(1)
    before, uncond_before = predict(model, plain, uncond)
    on, off = predict(model, cond(0, control=tiny.controlnet(hint)), uncond)
    marked = cond(0, control=tiny.controlnet(hint), control_apply_to_uncond=True)
    _, uncond_marked = predict(model, marked, uncond)
    _, uncond_controlled = predict(model, plain, cond(1, control=tiny.controlnet(hint)))
    # active in the noisier half only: the first sample is inside, the second is not, in either order
    ranged = cond(0, control=tiny.controlnet(hint, 0.0, 0.5))
    (halves,) = predict(model, ranged)
    (swapped,) = predict(model, ranged, t=(60, 700))
    (swapped_on,) = predict(model, cond(0, control=tiny.controlnet(hint)), t=(60, 700))
    (swapped_before,) = predict(model, plain, t=(60, 700))
    return {
        "effect": gap(on, before),
        "others": gap(off, uncond_before),
        "marked": gap(uncond_marked, uncond_controlled),
        "marked_effect": gap(uncond_marked, uncond_before),
        "range": max(
            gap(halves[0], on[0]), gap(halves[1], before[1]),
            gap(swapped[0], swapped_before[0]), gap(swapped[1], swapped_on[1]),
        ),
        "range_matters": min(gap(on[1], before[1]), gap(swapped_on[0], swapped_before[0])),
    }  # fmt: skip


def wrappers():
    """A model wrapper's and an attention patch's view of a step with three conditions."""
    model = tiny.unet()
    seen, sides = [], []

    def wrapper(apply_model, args):
        seen.append(len(args["input"]))
        return apply_model(args["input"], args["timestep"], **args["c"])

    def patch(q, k, v, extra_options):
        sides.append(extra_options["cond_or_uncond"])
        return q, k, v

    model.set_model_unet_function_wrapper(wrapper)
    model.set_model_attn2_patch(patch)
    predict(model, *(cond(i) for i in range(3)))
    calls, in_order = list(seen), sorted(set(map(tuple, map(sorted, sides))))
    target, empty = cond(0), cond(1)

    def told(*rows, negatives=(empty,)):
        """The sides that the patch sees in a forward with these conditions."""
        x_t, _ = latents()
        sides.clear()

        def body(prior):
            prior.predict_noise(x_t, torch.tensor((700, 60)), list(rows))

        run(model, [target, empty], body, negatives=negatives)
        return sorted(set(map(tuple, sides)))

    def of_a_run(name):
        """The side of one condition of a guidance's prompts, as runs load it."""
        rows = {"target": target, "uncond": empty, "target_negative": cond(2), "source": cond(3)}
        by_view = {key: {"": row} for key, row in rows.items()}
        prompts = load("nodes.bridge.prompts").Prompts(load("tbsd_core.prompts").PromptSet(by_view, {}))
        method = load("tbsd_core.guidance").METHODS["tbsd"]
        guided = load("nodes.sockets").GuidedModel(model, tiny.vae(), prompts, method.method(method.config()))
        optim = load("tbsd_core.optim").OptimConfig(size=64, views_per_step=2)
        sides.clear()

        def body(prior):
            prior.predict_noise(latents()[0], torch.tensor((700, 60)), [[rows[name]] * 2])

        load("nodes.bridge.run").with_models([guided], optim, body)
        return sorted(set(map(tuple, sides)))

    known = {
        "run": {name: of_a_run(name) for name in ("target", "uncond", "target_negative", "source")},
        "alone": told([empty, empty]),
        "in order": told([empty, empty], [target, target], negatives=None),
        "swapped": told([empty, empty], [target, target]),
        "mixed": told([target, empty]),
    }
    warned = []
    load("nodes.bridge.distillable").logger.addFilter(lambda record: warned.append(record.getMessage()))
    (rescaled,) = advanced["RescaleCFG"]().patch(tiny.unet(), 0.7)
    predict(rescaled, cond(0))
    return {"calls": calls, "sides": in_order, "known": known, "warned": warned}


def table(model):
    """Noise levels of a flow model against the shifted times, and what alphas_cumprod says of them."""
    schedule, sigmas, _ = bridge.noise_levels(model.get_model_object("model_sampling"))
    a_bar = schedule.alphas_cumprod.double()
    s = (1 - a_bar).sqrt() / (a_bar.sqrt() + (1 - a_bar).sqrt())
    return {"sigmas": sigmas.tolist(), "schedule": gap(s[20:], sigmas.double()[20:])}


def guidance_embedding():
    """Flux's distilled guidance is part of the conditioning."""
    model = tiny.flux()
    weak, strong, default = predict(
        model, cond(0, guidance=1.0), cond(0, guidance=8.0), cond(0), t=(700, 60), channels=16
    )
    same, hosts = predict(model, cond(0, guidance=1.0), cond(0, guidance=3.5), channels=16)
    return {"effect": gap(weak, strong), "default": gap(default, same), "host's": gap(default, hosts)}


def memory():
    mm = comfy.model_management
    required = []
    real = mm.load_models_gpu

    def spy(models, memory_required=0, **kwargs):
        required.append(memory_required)
        return real(models, memory_required=memory_required, **kwargs)

    model = tiny.unet()
    loaded = len(mm.current_loaded_models)
    vae, c = tiny.vae(), cond(0)
    mm.load_models_gpu = spy
    try:
        bridge.with_prior(model, vae, [c], (2, 64, 64), lambda prior: None)
        total, vae_memory = mm.get_total_memory, load("nodes.bridge.autoencoder").encoding_memory(vae, (2, 64, 64))
        mm.get_total_memory = lambda *args, **kwargs: model.model_size() + 0.9 * vae_memory  # a card too small for two
        bridge.with_prior(model, vae, [c], (2, 64, 64), lambda prior: None)
    finally:
        mm.load_models_gpu, mm.get_total_memory = real, total
    held = [m.model.model for m in mm.current_loaded_models]
    prepared = model.model.memory_required([2 * 2, 4, 8, 8])
    return {
        "kept": [held.count(model.model), held.count(vae.first_stage_model)],
        "loaded": len(held) - loaded,
        "required": required[0] / prepared,
        "on a small card": required[1] / required[0],
        "for_vae": vae_memory / prepared,
    }


def refusals():
    """The message for each thing that cannot be distilled; empty where nothing was refused."""

    def message(function):
        try:
            function()
        except ValueError as error:
            return str(error)
        return ""

    def keyframes():
        hooks = comfy.hooks.create_hook_lora({}, 1.0, 0.0)
        group = comfy.hooks.HookKeyframeGroup()
        group.add(comfy.hooks.HookKeyframe(1.0, 0.0))
        group.add(comfy.hooks.HookKeyframe(0.2, 0.5))
        hooks.set_keyframes_on_hooks(group)
        return cond(0, hooks=hooks)

    def invalid_vae():
        return bridge.with_prior(tiny.unet(), comfy.sd.VAE(sd={}), [cond(0)], (1, 64, 64), lambda prior: None)

    def easycache():
        model = nodes_easycache.EasyCacheNode.execute(tiny.unet(), 0.2, 0.15, 0.95, False)[0]
        return predict(model, cond(0))

    img_to_img = sampling(tiny.unet(), "ModelSamplingDiscrete", sampling="img_to_img", zsnr=False)
    lcm = sampling(tiny.unet(), "ModelSamplingDiscrete", sampling="lcm", zsnr=False)
    huge = dict(max_shift=100.0, base_shift=100.0, width=64, height=64)
    blind = tiny.unet()
    blind.add_object_patch("model_sampling", object())
    return {
        "keyframes": message(keyframes),
        "inpainting": message(lambda: predict(tiny.unet(in_channels=9), cond(0))),
        "channels": message(lambda: run(tiny.unet(), [cond(0)], lambda prior: None, channels=16)),
        "video": message(lambda: predict(tiny.unet(latent=comfy.latent_formats.Wan21), cond(0))),
        "img_to_img": message(lambda: predict(img_to_img, cond(0))),
        "lcm": message(lambda: predict(lcm, cond(0))),
        "no_sigmas": message(lambda: predict(blind, cond(0))),
        "no_vae": message(invalid_vae),
        "easycache": message(easycache),
        "flat_table": message(lambda: predict(sampling(tiny.unet(), "ModelSamplingFlux", **huge), cond(0))),
    }


with torch.inference_mode():  # as ComfyUI runs every node
    report = {
        "families": {name: identity(*family) for name, family in families().items()},
        "batched": {
            "EPS": batched(tiny.unet()),
            "V": batched(tiny.unet(ModelType.V_PREDICTION)),
            "EDM": batched(tiny.unet(ModelType.EDM)),
            "FLOW": batched(tiny.unet(ModelType.FLOW)),
            "SDXL": batched(tiny.sdxl()),
            "SD3": batched(tiny.sd3(), channels=16),
            "FLUX": batched(tiny.flux(), channels=16),
            "cross attention, other lengths": batched(tiny.unet(), lengths=(7, 14)),
            "joint attention, other lengths": batched(tiny.sd3(), channels=16, lengths=(7, 14)),
        },
        "direct": direct(),
        "half_precision": half_precision(),
        "lora": lora(),
        "control": control(),
        "wrappers": wrappers(),
        "tables": {"SD3": table(tiny.sd3()), "FLUX": table(tiny.flux())},
        "guidance_embedding": guidance_embedding(),
        "memory": memory(),
        "refusals": refusals(),
    }
    print(json.dumps(report))
