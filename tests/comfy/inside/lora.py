"""The LoRA of VSD on tiny models of every family, inside inference mode as ComfyUI runs a node."""

from __future__ import annotations

import json
from dataclasses import replace

from pack import load_pack

load = load_pack()
import comfy.hooks  # noqa: E402
import comfy_extras.nodes_freelunch as freelunch  # noqa: E402
import comfy_extras.nodes_tomesd as tomesd  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402
from comfy.model_base import ModelType  # noqa: E402

bridge, conditioning = load("nodes.bridge.prior"), load("nodes.bridge.conditioning")
adapter, guidance, lora = load("tbsd_core.optim.adapter"), load("tbsd_core.guidance"), load("tbsd_core.priors.base")
cameras = load("tbsd_core.cameras.sampling")

FAMILIES = {
    "eps": tiny.unet,
    "v": lambda: tiny.unet(ModelType.V_PREDICTION),
    "sdxl": tiny.sdxl,
    "sd3": tiny.sd3,
    "flux": tiny.flux,
}


def gap(a, b):
    return float((a - b).abs().max())


def measure(model) -> dict[str, float]:
    channels = model.model.latent_format.latent_channels
    options = {"pooled_output": torch.randn(1, tiny.POOLED)}
    condition = conditioning.to_condition(tiny.conditioning(0, **options))

    def body(prior):
        generator = torch.Generator().manual_seed(1)
        x_t, latents = torch.randn(2, 2, channels, 8, 8, generator=generator)
        t = torch.tensor([prior.schedule.n_timesteps // 2, prior.schedule.n_timesteps // 5])
        poses = adapter.camera_poses(cameras.orbit(2))
        rows = [condition] * 2

        def base():
            return prior.predict_noise(x_t, t, [rows])[0]

        before = base()
        config = lora.LoRAConfig(lr=1e-2)
        vsd = guidance.build_guidance("vsd", replace(guidance.default_config("vsd"), lora=config))
        state = adapter.create_adapter(prior, vsd, 0)
        start = gap(state.predict("lora", x_t, t, rows, poses), before)
        weights = [p.detach().clone() for p in state.adapter.parameters()]
        for step in range(3):
            state.gradient(latents, rows, poses, prior.schedule, 0, step)
            state.optimizer.step()
        moved = sum(gap(p, w) > 0 for p, w in zip(state.adapter.parameters(), weights, strict=True)) / len(weights)
        now = state.predict("lora", x_t, t, rows, poses)
        return {
            "start": start,
            "moved": moved,
            "changed": gap(now, before),
            "camera": gap(now, state.predict("lora_no_camera", x_t, t, rows, poses)),
            "base": gap(base(), before),
        }

    with torch.inference_mode():
        first = bridge.with_prior(model, tiny.vae(channels), [condition], (2, 64, 64), body, True)

        def again(prior):
            x_t = torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(2))
            return prior.predict_noise(x_t, torch.tensor([10, 20]), [[condition] * 2])[0]

        fresh = [bridge.with_prior(model, tiny.vae(channels), [condition], (2, 64, 64), again) for _ in range(2)]
    hooks = sum(len(m._forward_hooks) for m in model.model.diffusion_model.modules())
    return {**first, "repeat": gap(*fresh), "hooks": hooks}


def lora_hook(model):
    """A LoRA that conditions carry, on one weight of the network."""
    key = next(k for k in model.model.state_dict() if k.endswith("attn1.to_v.weight"))
    weight = model.model.state_dict()[key]
    name = key.removesuffix(".weight")
    up, down = torch.ones(len(weight), 1), torch.ones(1, weight.shape[1])
    return comfy.hooks.create_hook_lora({f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}, 1.0, 0.0)


def hooked_control() -> dict[str, float]:
    """How far a LoRA hook moves a prediction beside a ControlNet, without training and with."""

    def predicted(trains: bool, hooked: bool):
        with torch.inference_mode():
            model, options = tiny.unet(), {"control": tiny.controlnet(torch.full((1, 3, 64, 64), 0.3), 0.0, 1.0)}
            options |= {"hooks": lora_hook(model)} if hooked else {}
            condition = conditioning.to_condition(tiny.conditioning(0, **options))
            x_t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))

            def body(prior):
                return prior.predict_noise(x_t, torch.tensor([500, 200]), [[condition] * 2])[0].clone()

            torch.manual_seed(0)
            return bridge.with_prior(model, tiny.vae(), [condition], (2, 64, 64), body, trains)

    return {str(trains): gap(predicted(trains, True), predicted(trains, False)) for trains in (False, True)}


def different_hooks() -> str:
    """The answer of training to a batch whose samples have different LoRA hooks."""
    with torch.inference_mode():
        model = tiny.unet()
        hooks = lora_hook(model)
        rows = [conditioning.to_condition(tiny.conditioning(i, **o)) for i, o in enumerate(({}, {"hooks": hooks}))]

        def body(prior):
            state = adapter.create_adapter(prior, guidance.build_guidance("vsd"), 0)
            state.gradient(torch.zeros(2, 4, 8, 8), rows, None, prior.schedule, 0, 0)

        try:
            bridge.with_prior(model, tiny.vae(), rows, (2, 64, 64), body, True)
        except ValueError as error:
            return str(error)
    return ""


def ranged_control() -> dict[str, float]:
    """A ControlNet that is active for one of two samples: they take forwards of their own, each with its own camera."""
    with torch.inference_mode():
        model, options = tiny.unet(), {"control": tiny.controlnet(torch.rand(1, 3, 64, 64), 0.0, 0.5)}
        condition = conditioning.to_condition(tiny.conditioning(0, **options))

        def body(prior):
            generator = torch.Generator().manual_seed(1)
            x_t, latents = torch.randn(2, 2, 4, 8, 8, generator=generator)
            t, rows, poses = torch.tensor([60, 700]), [condition] * 2, adapter.camera_poses(cameras.orbit(2))
            state = adapter.create_adapter(prior, guidance.build_guidance("vsd"), 0)
            with torch.no_grad():
                state.adapter.pose_out += 0.3
            both = state.predict("lora", x_t, t, rows, poses)
            each = [slice(i, i + 1) for i in range(2)]
            alone = [state.predict("lora", x_t[i], t[i], rows[:1], poses[i]) for i in each]
            other = state.predict("lora", x_t, t, rows, poses.flip(0))
            state.gradient(latents, rows, poses, prior.schedule, 0, 0)
            return {"apart": gap(both, torch.cat(alone)), "camera": gap(both, other)}

        return bridge.with_prior(model, tiny.vae(), [condition], (2, 64, 64), body, True)


def without_gradient(func, q, k, v, *args, **kwargs):
    """As SageAttention, whose kernels have no backward pass."""
    return func(q.detach(), k.detach(), v.detach(), *args, **kwargs)


def faster_attention(model):
    model.model_options["transformer_options"]["optimized_attention_override"] = without_gradient
    return model


def masked(model):
    mask = torch.rand(1, 1, 1)
    model.set_model_attn2_output_patch(lambda out, extra: out * mask.to(out))
    return model


def with_layer(model):
    layers = {width: torch.nn.Linear(width, 4) for width in range(16, 513, 16)}

    def patch(q, k, v, extra):
        return q + layers[q.shape[-1]](q).mean(-1, keepdim=True), k, v

    model.set_model_attn1_patch(patch)
    return model


def detached(model):
    """A patch through which no gradient comes: nothing helps but to leave it out."""
    model.set_model_unet_function_wrapper(lambda f, a: f(a["input"], a["timestep"], **a["c"]).detach())
    return model


PATCHED = {
    "faster attention": faster_attention,
    "a mask of another node": masked,
    "layers of another node": with_layer,
    "FreeU V2": lambda m: node(freelunch.FreeU_V2, m, b1=1.1, b2=1.2, s1=0.9, s2=0.2),
    "ToMe": lambda m: node(tomesd.TomePatchModel, m, ratio=0.5),
    "detached": detached,
}


def node(kind, model, **inputs):
    """The result of one of the host's nodes, of its old or new kind."""
    if hasattr(kind, "execute"):
        return kind.execute(model, **inputs).args[0]
    return getattr(kind(), kind.FUNCTION)(model, **inputs)[0]


def patched(change) -> str:
    """How a step of VSD ends on a MODEL with a patch."""
    with torch.inference_mode():
        condition = conditioning.to_condition(tiny.conditioning(0))

        def body(prior):
            state = adapter.create_adapter(prior, guidance.build_guidance("vsd"), 0)
            latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
            state.gradient(latents, [condition] * 2, None, prior.schedule, 0, 0)
            moved = [float(p.grad.abs().max()) for p in state.adapter.up]
            return "learns" if min(moved) > 0 else "stands still"

        try:
            return bridge.with_prior(change(tiny.unet().clone()), tiny.vae(), [condition], (2, 128, 128), body, True)
        except RuntimeError as error:
            return str(error)


result: dict = {"patched": {name: patched(change) for name, change in PATCHED.items()}}
result |= {"different hooks": different_hooks(), "ranged control": ranged_control(), "hooked": hooked_control()}
for name, make in FAMILIES.items():
    with torch.inference_mode():
        model = make()
    result[name] = measure(model)
print(json.dumps(result))
