"""The settings that Recommended Settings gives the other nodes, beside the command line's on the demo model."""

from __future__ import annotations

import json

from pack import load_pack

load = load_pack()
guidance, presets, prompts = load("nodes.guidance"), load("nodes.presets"), load("nodes.prompts")
core, experiment, settings = load("tbsd_core.guidance"), load("tbsd_core.experiment"), load("tbsd_core.settings")
plain = load("tbsd_core.configuration").to_plain

PROMPT = "a brick house"
SCENES = ("image", "nerf")
NODES = {node.spec.name: node for node in guidance.NODES}


def settings_of(method: str, scene: str):
    return presets.RecommendedSettings.execute(model=model, method=method, scene=scene).args[10]


def given(node, **inputs):
    return node.execute(model=model, vae=vae, prompts=described, **inputs).args[0]


def kept(preset) -> dict:
    return {name: setting.value for name, setting in preset.items()}


model, clip, vae = load("nodes.bridge.demo").load_demo_models()
encoded = prompts.PromptEncode.execute(clip=clip, prompt=PROMPT, view_dependent=True).args[0]
negative = dict(prompts=encoded, kind="both", descriptors="dark", target_modifier="")
described = prompts.TargetNegativePrompt.execute(**negative, settings=settings_of("tbsd", "image")).args[0]
by_hand = prompts.TargetNegativePrompt.execute(**negative).args[0]

report: dict = {
    "prompt": [plain(described.config), plain(experiment.default_config(PROMPT, "image").prompt)],
    "by hand": [by_hand.config.negative_descriptors, by_hand.config.target_modifier],
    "methods": {},
}
for name, node in NODES.items():
    widgets = {w.id: w.default for w in node.define_schema().inputs if getattr(w, "default", None) is not None}
    for scene in SCENES:
        recommended = settings_of(name, scene)
        guided = given(node, **widgets, settings=recommended)
        expected = experiment.default_config(PROMPT, scene, name)
        report["methods"][f"{name} {scene}"] = {
            "config": plain(guided.guidance.config),
            "expected": plain(expected.guidance),
            "preset": kept(guided.preset),
            "recommended": kept(recommended.preset),
        }
    alone = given(node, **widgets)
    assert alone.preset is None and alone.guidance.config == core.default_config(name), name
    changed = widgets | ({"guidance_scale": 3.5} if "guidance_scale" in widgets else {"negative_start": 0.25})
    report["methods"][f"{name} image"]["widgets"] = plain(given(node, **changed).guidance.config)
wanted = "optim.lr=0.005; scene.tv_weight=0.05; guidance.guidance_scale=9; cameras.fov_y=50; prompt.target_modifier="
own = presets.RecommendedSettings.execute(model=model, method="tbsd", scene="nerf", changes=wanted)
scene = load("nodes.scene").NODES[1].execute(settings=own.args[10], tv_weight=0.5).args[0]
words = prompts.TargetNegativePrompt.execute(**negative, settings=own.args[10]).args[0]
guided = NODES["tbsd"].execute(model=model, vae=vae, prompts=words, guidance_scale=3.0, settings=own.args[10]).args[0]
cameras = own.args[11]
run = load("nodes.bridge.config").config_of(guided, scene, cameras, load("tbsd_core.optim").OptimConfig(lr=0.1))
late = load("nodes.bridge.refine").to_refine(guided)
report["refined"] = {
    "values": [late.preset[name].value for name in ("optim.lr", "optim.timesteps.t_max")],
    "others": sorted(name for name, setting in late.preset.items() if setting.source == "yours"),
    "schedule": [late.guidance.config.balance.schedule.start, guided.guidance.config.balance.schedule.end],
}
report["changes"] = {
    "values": [run.optim.lr, run.scene.tv_weight, run.guidance.guidance_scale, run.cameras.fov_y, own.args[1]],
    "modifier": run.prompt.target_modifier,
    "text": own.args[8],
}
for name, text in {"widget": "optim.views_per_step=2", "picture": "scene.seed=2"}.items():
    try:
        presets.RecommendedSettings.execute(model=model, method="tbsd", scene="image", changes=text)
    except ValueError as error:
        report["changes"][name] = str(error)
try:
    given(NODES["tbsd"], settings=settings_of("sds", "image"))
except ValueError as error:
    report["another method"] = str(error)
print(json.dumps(report))
