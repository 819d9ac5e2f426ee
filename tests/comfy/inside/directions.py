"""The size at which Inspect Directions shows pictures and scenes to a model of Stable Diffusion 1.5's family."""

from __future__ import annotations

import json

from pack import load_pack

load = load_pack()
import tiny  # noqa: E402
import torch  # noqa: E402

analysis, config_of = load("nodes.bridge.analysis"), load("nodes.bridge.config").config_of
core, scenes, sockets = load("tbsd_core.guidance"), load("tbsd_core.scenes"), load("nodes.sockets")
CameraConfig, OptimConfig = load("tbsd_core.cameras.sampling").CameraConfig, load("tbsd_core.optim").OptimConfig
DirectionsConfig = load("tbsd_core.analysis.directions").DirectionsConfig
NAMES = ("target", "uncond", "negative", "target_negative")

model, vae = tiny.unet(), tiny.vae(4)
prompts = load("nodes.bridge.prompts").from_conditioning(**{n: tiny.conditioning(i) for i, n in enumerate(NAMES)})
sds = core.METHODS["sds"]
guided = sockets.GuidedModel(model=model, vae=vae, prompts=prompts, guidance=sds.method(sds.config()))
seen: dict = {}
with_prior = analysis.with_prior


class Seen(Exception):
    """The latents are known, and nothing more is asked."""


def inspect_directions(prior, prompts, latents, *others):
    seen["pixels"] = latents.shape[-1] * vae.spacial_compression_encode()
    raise Seen


def reserved(model, vae, conditions, shape, body, **others):
    seen["reserved"] = list(shape)
    return with_prior(model, vae, conditions, shape, body, **others)


analysis.inspect_directions, analysis.with_prior = inspect_directions, reserved
SUBJECTS = {
    "nerf": (scenes.NeRFScene(scenes.NeRFConfig(resolutions=(9,))), 64),
    "image": (scenes.ImageScene(scenes.ImageConfig(size=64)), 64),
    "latent": (scenes.LatentImageScene(scenes.LatentImageConfig(size=8)), 64),
    "picture": (torch.rand(1, 64, 64, 3), 64),
}
report = {}
for name, (subject, size) in SUBJECTS.items():
    try:
        with torch.inference_mode():
            analysis.run_directions(
                guided, subject, CameraConfig(), size, DirectionsConfig(n_noises=2, t=(0.5,)), None, ""
            )
    except Seen:
        report[name] = dict(seen)
    if not isinstance(subject, torch.Tensor):
        optim = config_of(guided, subject, CameraConfig(), OptimConfig(size=size)).optim
        report[name]["run"] = optim.encode_size or optim.size
print(json.dumps(report))
