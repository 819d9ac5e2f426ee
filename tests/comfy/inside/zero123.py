"""A picture as prompts, on a tiny Stable Zero123, against the host's own nodes and its own sampling."""

from __future__ import annotations

import json
import tempfile

from pack import load_pack

load = load_pack()
import comfy.samplers  # noqa: E402
import tiny  # noqa: E402
import tiny_zero123  # noqa: E402
import torch  # noqa: E402
from comfy_extras.nodes_stable3d import StableZero123_Conditioning  # noqa: E402

bridge, ours, node = load("nodes.bridge.prior"), load("nodes.bridge.zero123"), load("nodes.zero123")
base, numbers, run = load("tbsd_core.priors.base"), load("tbsd_core.priors.zero123"), load("nodes.bridge.run")
guidances, config, prompts = load("nodes.guidance"), load("nodes.bridge.config"), load("nodes.prompts")
conditioning, optim, scenes = load("nodes.bridge.conditioning"), load("tbsd_core.optim"), load("tbsd_core.scenes")
cameras, sets, graph = load("tbsd_core.cameras.sampling"), load("nodes.bridge.prompts"), load("nodes.bridge.graph")

CAMERAS = ((0.0, 0.0), (35.0, 20.0), (-120.5, -10.0))  # azimuth, elevation
T = torch.tensor([900, 500, 60])
NODES = {each.spec.name: each for each in guidances.NODES}


def gap(a, b):
    return float((a - b).abs().max())


def picture():
    """IMAGE [1, 40, 60, 3] and MASK as Load Image gives them: 1 where nothing is."""
    mask = torch.ones(1, 40, 60)
    mask[:, 8:32, 20:40] = 0
    return torch.rand(1, 40, 60, 3, generator=torch.Generator().manual_seed(3)), mask


def made(elevation=0.0, kind=numbers.STABLE_ZERO123, image=None, mask=None, weight=5.0):
    own, outside = picture()
    values = dict(elevation=elevation, fill=0.75, rgb_weight=weight, mask_weight=weight / 10)
    inputs = dict(clip_vision=clip_vision, vae=vae, model_type=kind, **values)
    with torch.inference_mode():
        return node.Zero123Prompt.execute(
            **inputs, image=own if image is None else image, mask=outside if image is None else mask
        ).args


def guided(method, given, to=None):
    widgets = {w.id: w.default for w in NODES[method].define_schema().inputs if getattr(w, "default", None) is not None}
    with torch.inference_mode():
        return NODES[method].execute(model=to or model, vae=vae, prompts=given, **widgets).args[0]


def hosts(shown, azimuth, elevation):
    """The conditions and the output of the host's node, for a picture and one camera."""
    with torch.inference_mode():
        positive, negative, _ = StableZero123_Conditioning.execute(
            clip_vision, shown, vae, ours.SIDE, ours.SIDE, 1, elevation, azimuth
        ).args
    return positive, negative


def hosts_eps(positive, negative, x_t, t):
    """The noise that the host's sampling predicts with both conditions."""
    guider = comfy.samplers.CFGGuider(model)
    guider.inner_set_conds({"positive": positive, "negative": negative})
    found = []

    class Once(comfy.samplers.Sampler):
        def sample(self, wrap, sigmas, extra, callback, noise, *unused, **also_unused):
            inner = wrap.inner_model
            alpha = (1 / (1 + inner.model_sampling.sigmas[t] ** 2)).sqrt()
            sigma = inner.model_sampling.sigmas[t : t + 1]
            conds = [wrap.conds["positive"], wrap.conds["negative"]]
            denoised = comfy.samplers.calc_cond_batch(inner, conds, x_t / alpha, sigma, extra["model_options"])
            found.extend((x_t / alpha - x_0) / sigma for x_0 in denoised)
            return torch.zeros_like(noise)

    empty = torch.zeros_like(x_t)
    with torch.inference_mode():
        guider.sample(empty, empty, Once(), torch.tensor([1.0, 0.0]), disable_pbar=True, seed=0)
    return [e.clone() for e in found]


def oracle():
    given, shown = made()
    target, uncond = (given.set.conditions[name][""] for name in ("target", "uncond"))
    x_t = torch.randn(3, 4, 32, 32, generator=torch.Generator().manual_seed(1))

    def body(prior):
        rows = [[base.Viewed(c, *camera) for camera in CAMERAS] for c in (target, uncond)]
        both = prior.predict_noise(x_t, T, rows)
        one = slice(1, 2)
        alone = prior.predict_noise(x_t[one], T[one], [row[one] for row in rows])
        small = prior.predict_noise(x_t[..., :16, :16], T, rows)
        unseen = prior.predict_noise(x_t, T, [[target] * 3])[0]
        front = prior.predict_noise(x_t, T, [[base.Viewed(target, 0.0, 0.0)] * 3])[0]
        told = prior.takes_cameras, prior.views_per_group
        return both, max(gap(a[one], b) for a, b in zip(both, alone, strict=True)), small[0].shape, gap(
            unseen, front
        ), told

    both, alone, small, unseen, told = bridge.with_prior(model, vae, [target, uncond], (3, 256, 256), body)
    report = dict(alone=alone, small=list(small), unseen=unseen, told=list(told), tokens=0.0, latents=0.0, eps=0.0)
    (tokens, options), (zeros, nothing) = target.entries[0], uncond.entries[0]
    for i, (azimuth, elevation) in enumerate(CAMERAS):
        positive, negative = hosts(shown, azimuth, elevation)
        own = options[ours.PICTURE].tokens(torch.tensor([azimuth]), torch.tensor([elevation]))
        report["tokens"] = max(report["tokens"], gap(own, positive[0][0]), gap(zeros, negative[0][0]))
        for mine, theirs in ((options, positive), (nothing, negative)):
            apart = gap(mine["concat_latent_image"], theirs[0][1]["concat_latent_image"])
            report["latents"] = max(report["latents"], apart)
        eps = hosts_eps(positive, negative, x_t[i : i + 1], int(T[i]))
        report["eps"] = max(report["eps"], *(gap(a[i : i + 1], b) for a, b in zip(both, eps, strict=True)))
    report["cameras_matter"] = gap(both[0], both[1])
    report["front"] = gap(tokens, hosts(shown, 0.0, 0.0)[0][0][0])
    return report


def distilled(method, weight=5.0):
    """Two steps of a NeRF: how far it moved, and the losses."""
    given = guided(method, made(elevation=5.0, weight=weight)[0])
    # without regularisers: only guidance and the reference move it
    none = {"tv_weight": 0.0, "entropy_weight": 0.0, "opacity_weight": 0.0}
    scene = scenes.NeRFScene(scenes.NeRFConfig(resolutions=(5, 9), n_samples=12, background_mode="white", **none))
    steps = optim.OptimConfig(n_steps=2, views_per_step=2, size=32, encode_size=64)
    settings = config.config_of(given, scene, cameras.CameraConfig(), steps)

    def body(prior):
        experiment = run.begun(settings, prior, given, scene)
        before = torch.cat([p.detach().flatten() for p in experiment.scene.parameters()]).clone()
        records = list(experiment.steps())
        after = torch.cat([p.detach().flatten() for p in experiment.scene.parameters()])
        white = float(experiment.scene.render(cameras.orbit(1, 0.0, 20.0, 36.0), 8, 8).rgb[..., 0, 0].min())
        return float((after - before).abs().max()), records[-1].scalars, white

    with torch.inference_mode():
        moved, scalars, white = run.with_models([given], settings.optim, body)
    return {
        "moved": moved,
        "white": white,
        "losses": sorted(name for name in scalars if "reference" in name),
        "prior": settings.prior,
        "elevation": settings.reference.elevation,
    }


def said(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ValueError as error:
        return str(error)
    return ""


def refusals():
    given, text = made()[0], conditioning.to_condition(tiny.conditioning(0))
    texts = sets.from_conditioning(target=text.entries, uncond=text.entries)
    image, mask = picture()
    widgets = dict(kind="both", descriptors="blurry", target_modifier="")
    report = {name: said(guided, name, given) for name in NODES}
    return report | {
        "text model": said(guided, "sds", given, tiny.unet()),
        "text prompts": said(guided, "sds", texts),
        "in a run": said(bridge.with_prior, model, vae, [text], (1, 64, 64), lambda prior: None),
        "negative": said(prompts.TargetNegativePrompt.execute, prompts=given, **widgets),
        "perp_neg": said(prompts.PerpNeg.execute, prompts=given, strength=1.0),
        "no mask": said(made, image=image),
        "opaque": said(made, image=image, mask=torch.zeros(1, 64, 64)),
        "inverted": said(made, image=image, mask=1 - mask),
        "empty": said(made, image=image, mask=torch.ones(1, 64, 64)),
        "two pictures": said(made, image=image.expand(2, -1, -1, -1), mask=mask),
        "two masks": said(made, image=image, mask=mask.expand(2, -1, -1)),
        "with alpha": said(made, image=torch.cat([image, 1 - mask[..., None]], -1)),
    }


def analysed():
    """The entry of an analysis has the picture that the front keeps to."""
    given = made()[0]
    guided_model = guided("sds", given)
    scene = scenes.NeRFScene(scenes.NeRFConfig(resolutions=(5, 9), n_samples=8, occupancy_resolution=8))
    analysis = load("nodes.bridge.analysis")
    (entry,) = analysis.make_entries([guided_model], scene, cameras.CameraConfig(), optim.OptimConfig(size=64), False)
    return entry.reference is given.reference and entry.reference is not None


def told_of_resume():
    """The sentences of a resumed run whose picture node has other widgets; the configuration holds all but one."""
    was, now = ({"4": {"class_type": "TBSD_Zero123Prompt", "inputs": widgets}} for widgets in ({}, {}))
    was["4"]["inputs"] |= {"model_type": numbers.KINDS[0], "fill": 0.75, "image": ["1", 0]}
    now["4"]["inputs"] |= {"model_type": numbers.KINDS[1], "fill": 0.5, "image": ["2", 0]}
    return graph.changes(was, now)


model, vae = tiny_zero123.zero123(), tiny.vae()
with tempfile.TemporaryDirectory() as folder:
    clip_vision = tiny_zero123.clip_vision(folder)
methods = {"sds": distilled("sds"), "vsd": distilled("vsd"), "sds alone": distilled("sds", weight=0.0)}
report = {"oracle": oracle(), "methods": methods, "refusals": refusals(), "resumed": told_of_resume()}
report["analysed"] = analysed()
xl = made(kind=numbers.ZERO123_XL)[0].set.conditions["target"][""].entries[0][0]
report["xl"] = gap(xl[..., -1], torch.zeros(1))
print(json.dumps(report))
