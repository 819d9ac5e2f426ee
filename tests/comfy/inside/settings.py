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
try:
    given(NODES["tbsd"], settings=settings_of("sds", "image"))
except ValueError as error:
    report["another method"] = str(error)
print(json.dumps(report))
