"""Gradients of tiny models in every memory mode of ComfyUI on the pretend device, against plain torch on the CPU."""

from __future__ import annotations

import json

import host

load = host.boot()
import comfy.controlnet  # noqa: E402
import comfy.latent_formats  # noqa: E402
import comfy.model_management as mm  # noqa: E402
import comfy.model_patcher as patchers  # noqa: E402
import comfy.patcher_extension as patcher_extension  # noqa: E402
import device  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.models.autoencoder import AutoencoderKL  # noqa: E402
from tiny_clip import text  # noqa: E402

import nodes as core_nodes  # noqa: E402

DYNAMIC = host.has_dynamic_memory()
if DYNAMIC:
    import aimdo
bridge, conditioning = load("nodes.bridge.prior"), load("nodes.bridge.conditioning")
autoencoder, autograd = load("nodes.bridge.autoencoder"), load("nodes.bridge.autograd")
adapter, guidance = load("tbsd_core.optim.adapter"), load("tbsd_core.guidance")
control, hinting = load("nodes.bridge.control"), load("tbsd_core.optim.hints")

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
WEIGHTS = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
SCALE = 0.18215  # of SD 1.5's latents
CPU = torch.device("cpu")


def gap(a, b):
    """Largest relative difference of lists of tensors, by their norms."""
    pairs = [(x.cpu().float(), y.cpu().float()) for x, y in zip(a, b, strict=True)]
    return max(float((x - y).norm() / (y.norm() + 1e-12)) for x, y in pairs)


def vae(dtype=torch.float32, dynamic=False, channels=4):
    if DYNAMIC:
        host.set_dynamic(dynamic)
    with torch.inference_mode():  # as a loader node makes it
        return tiny.vae(channels, dtype)


def network(dynamic=False, device=None, make=tiny.unet):
    if DYNAMIC:
        host.set_dynamic(False)
    with torch.inference_mode():  # as a loader node makes it
        weights = make().model.state_dict()
        if DYNAMIC:
            host.set_dynamic(dynamic)
        made = make().model  # under dynamic VRAM layers have no weights before they are loaded
        made.load_state_dict(weights, assign=True, strict=False)
        return tiny.patcher(made, device, randomized=False)


def encoded(the_vae, between=lambda: None, dynamic_model=False):
    """Latents and the gradient on the images as a run has them."""

    def body(prior):
        leaf = IMAGES.to(mm.get_torch_device()).requires_grad_()
        latents = prior.encode(leaf)
        prior.predict_noise(latents.detach(), torch.tensor([500, 100], device=leaf.device), [[condition] * 2])
        between()
        (latents * WEIGHTS.to(latents.device)).sum().backward()
        return latents.detach(), leaf.grad

    condition = conditioning.to_condition(tiny.conditioning(0))
    with torch.inference_mode():
        return bridge.with_prior(network(dynamic_model), the_vae, [condition], (2, 64, 64), body)


def oracle(dtype=torch.float32, network=None):
    """The same by torch alone."""
    network = network or tiny.randomize(AutoencoderKL(ddconfig={**tiny.DD}, embed_dim=4))
    network = network.to(dtype).requires_grad_(False)
    leaf = IMAGES.clone().requires_grad_()
    latents = network.encode((leaf * 2 - 1).to(dtype)).float() * SCALE
    (latents * WEIGHTS).sum().backward()
    return latents.detach(), leaf.grad


def trained(model, the_vae):
    """The gradient of a LoRA, and what it and the network predict."""
    options = {"pooled_output": torch.ones(1, tiny.POOLED)}
    condition = conditioning.to_condition(tiny.conditioning(0, **options))

    def body(prior):
        where = model.load_device
        latents = torch.randn(2, prior.latent_channels, 8, 8, generator=torch.Generator().manual_seed(3)).to(where)
        t = torch.tensor([prior.schedule.n_timesteps // 2, prior.schedule.n_timesteps // 5], device=where)
        state = adapter.create_adapter(prior, guidance.build_guidance("vsd"), 0)
        generator = torch.Generator().manual_seed(5)
        for p in state.adapter.up:  # a new one is zero there, and its gradient in `down` too
            p.data.copy_(0.1 * torch.randn(p.shape, generator=generator))
        rows, poses = [condition] * 2, torch.randn(2, 16, generator=torch.Generator().manual_seed(4)).to(where)
        state.adapter.training_loss(latents, t, rows, poses, torch.zeros_like(latents)).backward()
        gradients = [p.grad.cpu() for p in state.adapter.parameters()]
        with torch.no_grad():
            predicted = state.predict("lora", latents, t, rows, poses)
            frozen = prior.predict_noise(latents, t, [rows])[0]
        return gradients, [predicted.cpu(), frozen.cpu()]

    with torch.inference_mode():
        return bridge.with_prior(model, the_vae, [condition], (2, 64, 64), body, True)


def cpu_vae(channels=4):
    if DYNAMIC:
        host.set_dynamic(False)
    built = tiny.vae(channels)
    built.device, built.patcher = CPU, patchers.ModelPatcher(built.first_stage_model, CPU, CPU)
    return built


def patched(patcher):
    """With a change of two of its weights, as LoRA loaders make it; one is small, one is paged under dynamic VRAM."""
    generator = torch.Generator().manual_seed(6)
    weights = patcher.model.state_dict()
    large = max((k for k in weights if k.endswith("weight")), key=lambda k: weights[k].numel())
    small = min((k for k in weights if k.endswith("weight")), key=lambda k: weights[k].numel())
    changes = {k: ("diff", (0.3 * torch.randn(weights[k].shape, generator=generator),)) for k in (large, small)}
    assert set(patcher.add_patches(changes)) == {large, small}


def sampled(model):
    """The model used by a KSampler, in inference mode."""
    with torch.inference_mode():
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        core_nodes.common_ksampler(
            model, 0, 2, 2.0, "euler", "normal", tiny.conditioning(0), tiny.conditioning(1), latent
        )


def encoded_by_host(the_vae):
    with torch.inference_mode():
        return the_vae.encode(IMAGES.movedim(1, -1))


def outcome(case):
    """The measures of a case, or the sentence with which it was refused."""
    try:
        return case()
    except (RuntimeError, ValueError) as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    finally:
        if DYNAMIC:
            aimdo.limit = float("inf")
        mm.vram_state = NORMAL
        mm.unload_all_models()


NORMAL = mm.vram_state
EXACT = {dtype: oracle(dtype) for dtype in (torch.float32, torch.bfloat16)}


def autoencoders() -> dict:
    """The error of latents and gradient in each mode."""

    def measured(the_vae, dtype=torch.float32, **options):
        got = encoded(the_vae, **options)
        return {"latents": gap(got[:1], EXACT[dtype][:1]), "gradient": gap(got[1:], EXACT[dtype][1:])}

    def used_before(dynamic):
        shared = vae(dynamic=dynamic)
        before = encoded_by_host(shared)
        found = measured(shared, dynamic_model=dynamic)
        return {**found, "afterwards": gap([encoded_by_host(shared)], [before])}

    def with_patches(dynamic):
        shared, reference = vae(dynamic=dynamic), vae()
        plain = encoded(vae())
        for one in (shared, reference):
            patched(one.patcher)
        encoded_by_host(shared)
        # by torch alone: the patched weights written into its network
        network = tiny.randomize(AutoencoderKL(ddconfig={**tiny.DD}, embed_dim=4)).requires_grad_(False)
        for key, changes in reference.patcher.patches.items():
            network.get_parameter(key).data += changes[0][1][1][0]
        exact = oracle(network=network)
        got = encoded(shared, dynamic_model=dynamic)
        return {"latents": gap(got[:1], exact[:1]), "gradient": gap(got[1:], exact[1:]), "effect": gap(got, plain)}

    def partly_offloaded():
        shared = vae()
        with torch.inference_mode():
            mm.load_models_gpu([shared.patcher])
            shared.patcher.unpatch_model(CPU)
            shared.patcher.load(mm.get_torch_device(), lowvram_model_memory=400_000)
        assert len({p.device.type for p in shared.first_stage_model.parameters()}) == 2, "the case is worth testing"
        found = measured(shared)
        return {**found, "afterwards": gap([encoded_by_host(shared)], [encoded_by_host(vae())])}

    def in_state(state):
        mm.vram_state = state
        return used_before(False)

    cases = {
        "static": lambda: measured(vae()),
        "static, used before": lambda: used_before(False),
        "static, partly offloaded": partly_offloaded,
        "lowvram": lambda: in_state(mm.VRAMState.LOW_VRAM),
        "novram": lambda: in_state(mm.VRAMState.NO_VRAM),
        "highvram": lambda: in_state(mm.VRAMState.HIGH_VRAM),
        "bfloat16": lambda: measured(vae(torch.bfloat16), torch.bfloat16),
        "patched": lambda: with_patches(False),
    }
    if DYNAMIC:

        def streamed():
            aimdo.limit = 0
            found = measured(vae(dynamic=True), dynamic_model=True)
            return {**found, "streamed": aimdo.counts["streamed"]}

        def evicted():
            gone = aimdo.counts["evicted"]
            shared = vae(dynamic=True)
            encoded_by_host(shared)
            found = measured(shared, between=aimdo.evict_all, dynamic_model=True)
            return {**found, "evicted": aimdo.counts["evicted"] - gone}

        cases |= {
            "dynamic": lambda: measured(vae(dynamic=True), dynamic_model=True),
            "dynamic, streamed": streamed,
            "dynamic, evicted": evicted,
            "dynamic, used before": lambda: used_before(True),
            "dynamic, patched": lambda: with_patches(True),
            "dynamic, float32 file in bfloat16": lambda: measured(
                vae(torch.bfloat16, dynamic=True), torch.bfloat16, dynamic_model=True
            ),
        }
    return {name: outcome(case) for name, case in cases.items()}


def networks() -> dict:
    """The error of a LoRA's gradient and of the predictions in each mode."""

    def nothing(model): ...

    def measured(make=tiny.unet, dynamic=False, before=nothing, state=NORMAL, channels=4, changed=nothing):
        reference = network(device=CPU, make=make)
        changed(reference)
        exact = trained(reference, cpu_vae(channels))
        mm.vram_state = state
        model = network(dynamic, make=make)
        changed(model)
        before(model)
        got = trained(model, vae(channels=channels))
        return {"gradient": gap(got[0], exact[0]), "predictions": gap(got[1], exact[1])}

    def partly_offloaded(model):
        with torch.inference_mode():
            mm.load_models_gpu([model])
            model.unpatch_model(CPU)
            model.load(mm.get_torch_device(), lowvram_model_memory=1_000_000)
        assert len({p.device.type for p in model.model.parameters()}) == 2, "the case is worth testing"

    def bypassed(model):
        model.set_injections("bypass", [patcher_extension.PatcherInjection(lambda m: None, lambda m: None)])

    def cfg_split(model):
        other = model.clone()
        other.is_multigpu_base_clone = True
        model.set_additional_models("multigpu", [other])

    def no_room():
        limit = device._Held.limit
        device._Held.limit = device._Held.now + 2**20  # a MiB for four of weights
        try:
            return measured()
        finally:
            device._Held.limit = limit

    def packed():
        """On the CPU: the pretend device knows no tensors of other classes."""
        with torch.inference_mode():
            plain, ours = tiny.unet().model, tiny.packed(tiny.unet()).model
            for a, b in zip(plain.modules(), ours.modules(), strict=True):
                if isinstance(b, tiny.PackedLinear):
                    a.weight.data = b.weight.unpack(torch.float32, CPU)
        exact, got = (trained(tiny.patcher(m, CPU, randomized=False), cpu_vae()) for m in (plain, ours))
        return {"gradient": gap(got[0], exact[0]), "predictions": gap(got[1], exact[1])}

    def in_dtype(dtype):
        compute = torch.float32 if dtype.itemsize == 1 else None
        return lambda: tiny.unet(dtype=dtype, compute=compute)

    cases = {
        "static": measured,
        "static, sampled before": lambda: measured(before=sampled),
        "static, partly offloaded": lambda: measured(before=partly_offloaded),
        "lowvram": lambda: measured(before=sampled, state=mm.VRAMState.LOW_VRAM),
        "novram": lambda: measured(before=sampled, state=mm.VRAMState.NO_VRAM),
        "highvram": lambda: measured(before=sampled, state=mm.VRAMState.HIGH_VRAM),
        "with a LoRA": lambda: measured(changed=patched),
        "with a LoRA, sampled before": lambda: measured(changed=patched, before=sampled),
        "bfloat16": lambda: measured(in_dtype(torch.bfloat16)),
        "float16": lambda: measured(in_dtype(torch.float16)),
        "no room": no_room,
        "bypass LoRA": lambda: measured(before=bypassed),
        "float8": lambda: measured(in_dtype(torch.float8_e4m3fn)),
        "packed": packed,
        "flux": lambda: measured(tiny.flux, channels=16),
    }
    if DYNAMIC:

        def tight(model):
            sampled(model)
            aimdo.limit = 0

        cases |= {
            "dynamic": lambda: measured(dynamic=True),
            "dynamic, sampled before": lambda: measured(dynamic=True, before=sampled),
            "dynamic, streamed": lambda: measured(dynamic=True, before=tight),
            "dynamic, with a LoRA": lambda: measured(dynamic=True, changed=patched, before=sampled),
            "dynamic, float8": lambda: measured(in_dtype(torch.float8_e4m3fn), True),
            "dynamic, flux": lambda: measured(tiny.flux, True, channels=16),
            "MultiGPU CFG Split": lambda: measured(dynamic=True, before=cfg_split),
        }
    return {name: outcome(case) for name, case in cases.items()}


def checks() -> dict:
    """The checks at the start of a run find a false gradient: with the host's own weights, streamed."""

    def encoder():
        aimdo.limit = 0
        shared = vae(dynamic=True)
        with autograd.optimization_mode():
            mm.load_models_gpu([shared.patcher])
            ours = autoencoder.Autoencoder(shared)
            ours.module = shared.first_stage_model
            ours.encode(IMAGES.to(mm.get_torch_device()).requires_grad_())

    def network_of_host():
        bridge.static_patcher = lambda model: model.clone()
        load("nodes.bridge.reserve").load_whole = lambda model: None
        aimdo.limit = 0
        trained(network(True), vae())

    found = {"encoder": outcome(encoder), "network": outcome(network_of_host)} if DYNAMIC else {}
    return {name: case["refused"] for name, case in found.items()}


def room() -> dict:
    """Bytes of another model's pages that stay resident while a run goes on, with ample memory and with too little."""

    def left(memory):
        other, shared = network(True), vae(dynamic=True)
        sampled(other)
        pages, limit = other._vbar_get(), device._Held.limit
        full = pages.loaded_size()
        device._Held.limit = device._Held.now + aimdo.resident() + memory
        condition = conditioning.to_condition(tiny.conditioning(0))
        try:
            with torch.inference_mode():
                stay = bridge.with_prior(
                    network(True), shared, [condition], (2, 64, 64), lambda prior: pages.loaded_size()
                )
        finally:
            device._Held.limit = limit
        return stay / full

    # of one view whose encoder is computed again: less than a run reserves on any card
    needed = autoencoder.encoding_memory(vae(), (1, 64, 64), again=True)
    return {"ample": left(8 * host.GIB), "short": left(int(needed))} if DYNAMIC else {}


class LatentHint(torch.nn.Module):
    """A ControlNet that looks at latents of its hint, as of SD3 and Flux, and adds nothing."""

    def __init__(self):
        super().__init__()
        self.weight, self.dtype = torch.nn.Parameter(torch.zeros(4)), torch.float32

    def forward(self, x, hint, timesteps, context, **options):
        return {"input": [], "middle": [], "output": []}


def hints() -> dict:
    """A LoRA's gradient where the host encodes a hint in each forward and has room for the network, or no longer."""
    options = {"pooled_output": torch.ones(1, tiny.POOLED)}
    condition = conditioning.to_condition(tiny.conditioning(0, **options))

    def gradient(memory):
        shared, model, limit = vae(), network(), device._Held.limit
        where = model.load_device
        format_ = comfy.latent_formats.SD15()
        net = comfy.controlnet.ControlNet(LatentHint(), compression_ratio=1, latent_format=format_, load_device=where)
        generator = torch.Generator().manual_seed(5)

        def body(prior):
            latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3)).to(where)
            state = adapter.create_adapter(prior, guidance.build_guidance("vsd"), 0)
            for p in state.adapter.up:
                p.data.copy_(0.1 * torch.randn(p.shape, generator=generator))
            views = torch.rand(2, 3, 64, 64, generator=generator).to(where)
            rows = hinting.Hints(views, 1.0).on([condition] * 2, range(2))
            if memory is not None:
                device._Held.limit = device._Held.now + memory
            t = torch.tensor([500, 200], device=where)
            state.adapter.training_loss(latents, t, rows, None, torch.zeros_like(latents)).backward()
            away = sum(p.device.type == "cpu" for p in prior._inner.diffusion_model.parameters())
            return [p.grad.cpu() for p in state.adapter.parameters() if p.grad is not None], away

        try:
            with torch.inference_mode():
                shown = control.ViewControl(net, hinting.ControlConfig(kind="depth"))
                return bridge.with_prior(model, shared, [condition], (2, 64, 64), body, True, shown)
        finally:
            device._Held.limit = limit
            mm.unload_all_models()

    (ample, _), (short, away) = gradient(None), gradient(int(0.9 * host.GIB))
    return {"gradient": gap(short, ample), "away": away}


def clips() -> dict:
    """How far a patch moves the embedding of a text, in each memory mode."""
    embed_texts = load("nodes.bridge.clip").embed_texts
    projection = torch.randn(32, 32, generator=torch.Generator().manual_seed(1)) / 32**0.5
    name = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    if DYNAMIC:
        host.set_dynamic(False)
    with torch.inference_mode():
        weights = {k: v.clone() for k, v in text(projection)[0].cond_stage_model.state_dict().items()}

    def moved(dynamic):
        if DYNAMIC:
            host.set_dynamic(dynamic)
        with torch.inference_mode():
            clip = text(projection, randomized=not dynamic)[0]
            clip.cond_stage_model.load_state_dict(weights, assign=True, strict=False)
            changed = clip.clone()
            change = torch.randn(weights[name].shape, generator=torch.Generator().manual_seed(0))
            assert changed.patcher.add_patches({name: ("diff", (change,))})
            plain, patched_one = (embed_texts(one, ["a brick house"], 32) for one in (clip, changed))
        mm.unload_all_models()
        return float((patched_one - plain).norm() / plain.norm())

    return {"static": moved(False), **({"dynamic": moved(True)} if DYNAMIC else {})}


found = {"autoencoders": autoencoders(), "networks": networks(), "checks": checks(), "room": outcome(room)}
print(json.dumps({**found, "hints": outcome(hints), "clips": clips()}))
