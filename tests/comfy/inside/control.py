"""A ControlNet that sees the views of a step, on tiny models, inside inference mode as ComfyUI runs a node."""

from __future__ import annotations

import json
from dataclasses import replace

from pack import load_pack

load = load_pack()
import comfy.cldm.cldm  # noqa: E402
import comfy.controlnet  # noqa: E402
import comfy.utils  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402

import nodes as host_nodes  # noqa: E402, I001

bridge, conditioning, control = (load(f"nodes.bridge.{name}") for name in ("prior", "conditioning", "control"))
base, hints, run = load("tbsd_core.priors.base"), load("tbsd_core.optim.hints"), load("nodes.bridge.run")
sets, guidance, config = load("tbsd_core.prompts"), load("tbsd_core.guidance"), load("nodes.bridge.config")
meshes, mesh, sockets = load("tbsd_core.sample_meshes"), load("tbsd_core.mesh"), load("nodes.sockets")
scenes, optim, prompts = load("tbsd_core.scenes"), load("tbsd_core.optim"), load("nodes.bridge.prompts")
cameras = load("tbsd_core.cameras.sampling")

T = torch.tensor([700, 60])
SEEN = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(6))


def gap(a, b):
    return float((a - b).abs().max())


def x_t():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def view_control(net=None, kind="depth", strength=1.0):
    net = net or tiny.controlnet(torch.zeros(1, 3, 8, 8))
    return control.ViewControl(net, hints.ControlConfig(kind=kind, strength=strength))


def with_hints(condition, samples=(0, 1), strength=1.0):
    return [base.Hinted(condition, SEEN[i], strength) for i in samples]


def apply_control_net(condition, net, picture, vae=None):
    """The result of the host's own node for one picture and a condition, for the positive and the negative."""
    node = host_nodes.ControlNetApplyAdvanced()
    positive, negative = node.apply_controlnet(
        condition.entries, condition.entries, net, picture[None].movedim(1, -1), 1.0, 0.0, 1.0, vae
    )
    return conditioning.to_condition(positive), conditioning.to_condition(negative)


def predictions():
    """Two conditions of two views at once, against each view alone and against the host's Apply ControlNet."""
    model, net = tiny.unet(), tiny.controlnet(torch.zeros(1, 3, 8, 8))
    a, b = (conditioning.to_condition(tiny.conditioning(seed)) for seed in (0, 1))
    x = x_t()

    def body(prior):
        plain = prior.predict_noise(x, T, [[a, a], [b, b]])
        both = prior.predict_noise(x, T, [with_hints(a), with_hints(b)])
        alone = [
            torch.cat([prior.predict_noise(x[i : i + 1], T[i : i + 1], [with_hints(c, (i,))])[0] for i in (0, 1)])
            for c in (a, b)
        ]
        swapped = prior.predict_noise(x.flip(0), T.flip(0), [with_hints(a, (1, 0)), with_hints(b, (1, 0))])
        weak = prior.predict_noise(x, T, [with_hints(a, strength=0.0)])[0]
        return plain, both, alone, swapped, weak, prior.predict_noise(x, T, [[a, a], [b, b]]), prior.hint_kind

    plain, both, alone, swapped, weak, after, kind = bridge.with_prior(
        model, tiny.vae(), [a, b], (2, 64, 64), body, control=view_control(net)
    )
    theirs = []
    for i in (0, 1):
        conditions = apply_control_net(a, net, SEEN[i])

        def one(prior, i=i, conditions=conditions):
            return prior.predict_noise(x[i : i + 1], T[i : i + 1], [[c] for c in conditions])

        theirs.append(bridge.with_prior(model, tiny.vae(), conditions, (1, 64, 64), one))
    return {
        "kind": kind,
        "effect": min(gap(both[k][i], plain[k][i]) for k in (0, 1) for i in (0, 1)),
        "alone": max(gap(both[k], alone[k]) for k in (0, 1)),
        "swapped": max(gap(both[k], swapped[k].flip(0)) for k in (0, 1)),
        "no_strength": gap(weak, plain[0]),
        "plain_stays": max(gap(after[k], plain[k]) for k in (0, 1)),
        "host": max(gap(both[0][i], theirs[i][k][0]) for k in (0, 1) for i in (0, 1)),
        "net_is_unchanged": gap(net.cond_hint_original, torch.zeros(1, 3, 8, 8)),
    }


def chained():
    """A ControlNet that the conditioning brings along stays, below the ControlNet of the views."""
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    model, x = tiny.unet(), x_t()
    own = conditioning.to_condition(tiny.conditioning(0, control=tiny.controlnet(picture)))
    plain = conditioning.to_condition(tiny.conditioning(0))

    def body(prior):
        return prior.predict_noise(x, T, [with_hints(own), with_hints(plain), [own, own]])

    return [e.tolist() for e in bridge.with_prior(
        model, tiny.vae(), [own, plain], (2, 64, 64), body, control=view_control()
    )]  # fmt: skip


def guided(method, view, model=None):
    conditions = {
        name: {"": conditioning.to_condition(tiny.conditioning(i))}
        for i, name in enumerate(("target", "uncond", "negative", "target_negative"))
    }
    texts = {name: {"": name} for name in conditions}
    given = prompts.Prompts(sets.PromptSet(conditions, texts))
    built = guidance.build_guidance(method, guidance.default_config(method))
    return sockets.GuidedModel(model or tiny.unet(), tiny.vae(), given, built, None, view)


def painted(method, view):
    """Two steps of painting a mesh: what the U-Net was given beside its input, and the colours."""
    made = guided(method, view)
    given = meshes.sample_mesh("house")
    spec = scenes.SCENES["mesh_texture"]
    small = replace(spec.config(), resolutions=(5, 9))
    scene = mesh.texture_scene(given, small, replace(mesh.PlacementConfig(), radius=None))
    steps = optim.OptimConfig(n_steps=2, views_per_step=2, size=64, encode_size=64)
    settings = config.config_of(made, scene, cameras.CameraConfig(), steps)
    seen = []
    network = made.model.model.diffusion_model

    def note(module, args, kwargs):
        seen.append(kwargs.get("control") is not None)

    def body(prior):
        experiment = run.begun(settings, prior, made, scene)
        hook = network.register_forward_pre_hook(note, with_kwargs=True)
        for _ in experiment.steps():
            pass
        hook.remove()
        return torch.cat([p.detach().flatten() for p in experiment.scene.parameters()]).clone()

    with torch.inference_mode():
        colours = run.with_models([made], settings.optim, body)
    return colours, seen, settings


def methods():
    found = {}
    for method in ("sds", "tbsd", "vsd", "ism", "sdi"):
        plain, without, _ = painted(method, None)
        shown, with_it, settings = painted(method, view_control())
        found[method] = {
            "effect": gap(shown, plain),
            "always": all(with_it) and not any(without),
            "kind": settings.control.kind,
        }
    return found


def refusals():
    def said(call, *arguments):
        try:
            call(*arguments)
        except ValueError as error:
            return str(error)
        return ""

    wrong = tiny.controlnet(torch.zeros(1, 3, 8, 8))
    options = {k: v for k, v in tiny.UNET.items() if k not in ("out_channels", "transformer_depth_output")}
    wrong.control_model = comfy.cldm.cldm.ControlNet(**options | {"context_dim": 48}, hint_channels=3)
    check = control.check_belongs
    other = view_control(tiny.controlnet(torch.zeros(1, 3, 8, 8)))
    two = [guided("sds", view_control()), guided("sds", other)]
    two[1] = replace(two[1], model=two[0].model, vae=two[0].vae)
    return {
        "fits": said(check, view_control(), tiny.unet()),
        "width": said(check, view_control(wrong), tiny.unet()),
        "flux": said(check, view_control(), tiny.flux()),
        "two nets": said(run.with_models, two, optim.OptimConfig(), lambda prior: None),
    }


report = {"predictions": predictions(), "methods": methods(), "refusals": refusals()}
by_own, by_plain, alone = (torch.tensor(e) for e in chained())
report["chained"] = {"adds": gap(by_own, by_plain), "and_ours": gap(by_own, alone)}
print(json.dumps(report))
