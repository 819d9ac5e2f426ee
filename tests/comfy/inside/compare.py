"""The labels of Compare Methods: of its columns, in the table and in the picture."""

from __future__ import annotations

import json

import torch
from pack import load_pack

load = load_pack()
nodes, compare, prompts = load("nodes.compare"), load("nodes.bridge.compare"), load("nodes.bridge.prompts")
core, scenes, optim = load("tbsd_core.guidance"), load("tbsd_core.scenes"), load("tbsd_core.optim")
cameras, sockets = load("tbsd_core.cameras.sampling"), load("nodes.sockets")
PromptConfig = load("tbsd_core.prompts").PromptConfig
CONDITIONS = ("target", "uncond", "negative", "target_negative")

model, clip, vae = load("nodes.bridge.demo").load_demo_models()


def encoded(text: str):
    config = PromptConfig(prompt=text, view_dependent=False)
    with torch.inference_mode():
        return prompts.Prompts(prompts.encode_prompts(clip, config, CONDITIONS), clip, config)


def guided(text: str, method: str = "tbsd", **settings):
    spec = core.METHODS[method]
    guidance = spec.method(spec.config(guidance_scale=7.5, **settings))
    return sockets.GuidedModel(model=model, vae=vae, prompts=encoded(text), guidance=guidance)


def labels(typed: str, *methods, given=()) -> dict:
    """The labels of the columns, then of the picture's rows and columns, with two seeds."""
    made = nodes.columns(typed, {f"guidance_{i}": g for i, g in enumerate(methods)}, not given)
    scene, budget = scenes.ImageScene(scenes.ImageConfig(size=32)), optim.OptimConfig(n_steps=1, size=32)
    jobs = compare.plan(made, list(given), (0, 1), scene, cameras.CameraConfig(), budget, False, False)
    rows, columns = compare.names_of(jobs)
    return {"table": [label for label, _ in made], "rows": list(rows.values()), "columns": list(columns.values())}


house, cone = guided("a brick\nhouse", balancer="mgda"), guided("a cone", balancer="fixed")
sds = guided("a cone", "sds")
report = {
    "balancer and prompt": labels("", house, cone),
    "prompts alone": labels("", guided("a cone", "sds"), guided("a cube", "sds")),
    "two methods": labels("", house, sds),
    "one prompt": labels("", cone, sds),
    "given prompts": labels("", guided("a cone"), guided("a cube"), given=[encoded("a torus"), encoded("a cube")]),
    "typed twice": labels("mine\nmine\nTBSD 7.5", cone, sds, cone),
    "typed as a default": labels("TBSD 7.5", sds, cone),
}
print(json.dumps(report))
