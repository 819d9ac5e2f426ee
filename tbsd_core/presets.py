"""Where a run starts before the user changes anything: settings by model family, scene and method.

Every value carries its source. "measured" means: on the small world, see benchmarks/. Values for real
checkpoints are published ones where there are any; "ours" marks a choice that rests on nothing but reason.
Later ones win: of the family, of the scene, of the method (guidance.spec.MethodSpec.presets). Names are those of
an ExperimentConfig (`--set`).
"""

from __future__ import annotations

from typing import TypeVar

from .configuration import replaced
from .guidance import METHODS
from .settings import DEMO, PUBLISHED, Setting, Settings, preset_for
from .sources import BRIDGE_2D, CSD_3D, MEASURED, THREESTUDIO

T = TypeVar("T")

FAMILY_NAMES: dict[str, str] = {
    "sd15": "Stable Diffusion 1.x",
    "sd21_base": "Stable Diffusion 2.x base (noise prediction, 512 pixels)",
    "sd21_v": "Stable Diffusion 2.x (v prediction, 768 pixels)",
    "sdxl": "Stable Diffusion XL",
    "sd3": "Stable Diffusion 3 (flow)",
    "flux": "Flux (flow)",
    "qwen_image": "Qwen-Image (flow)",
    "z_image": "Z-Image (flow)",
    "krea2": "Krea 2 (flow)",
    "anima": "Anima (flow)",
    DEMO: "the demo model of this pack",
}

FORMER_NAMES = {"embedded": DEMO}  # still understood in this release

DREAM_GAUSSIAN = "DreamGaussian, arXiv:2309.16653, its configs/text.yaml"
CONSTANT_RANGE = "no annealing in the published 2D runs (SDS-Bridge, arXiv:2406.09417)"

SCENES: dict[str, Settings] = {
    "image": {
        "optim.n_steps": Setting(1000, BRIDGE_2D),
        "optim.views_per_step": Setting(1, BRIDGE_2D),
        "optim.lr": Setting(0.01, "measured on the small world; published 2D runs optimise latents"),
        "optim.timesteps.t_min": Setting(0.02, BRIDGE_2D),
        "optim.timesteps.t_max": Setting(0.98, BRIDGE_2D),
        "optim.timesteps.t_max_end": Setting(0.98, CONSTANT_RANGE),
    },
    "latent": {
        "optim.n_steps": Setting(1000, BRIDGE_2D),
        "optim.views_per_step": Setting(1, BRIDGE_2D),
        "optim.lr": Setting(0.01, BRIDGE_2D),
        "optim.timesteps.t_min": Setting(0.02, BRIDGE_2D),
        "optim.timesteps.t_max": Setting(0.98, BRIDGE_2D),
        "optim.timesteps.t_max_end": Setting(0.98, CONSTANT_RANGE),
    },
    "nerf": {
        "optim.n_steps": Setting(10_000, THREESTUDIO),
        "optim.views_per_step": Setting(4, "ours: calmer than the one view of dreamfusion-sd.yaml"),
        "optim.lr": Setting(0.02, "measured on the small world, for the dense grid; threestudio: 0.01 for hash grids"),
        "optim.size": Setting(64, THREESTUDIO),
        "optim.timesteps.t_min": Setting(0.02, THREESTUDIO),
        "optim.timesteps.t_max": Setting(0.98, THREESTUDIO),
        "optim.timesteps.t_max_end": Setting(0.5, "ProlificDreamer, arXiv:2305.16213: t_max falls to 0.5"),
        "optim.timesteps.anneal_end": Setting(0.5, "at step 5000 of 10 000, as " + CSD_3D),
    },
    "mesh_texture": {
        "optim.n_steps": Setting(3000, "ours: the shape is there, and colours settle sooner"),
        "optim.views_per_step": Setting(4, "ours: as for the NeRF"),
        "optim.lr": Setting(0.02, "measured on the small world, for the dense grid"),
        "optim.size": Setting(512, "ours: no rays are marched, so that full views are affordable"),
        "optim.timesteps.t_min": Setting(0.02, THREESTUDIO),
        "optim.timesteps.t_max": Setting(0.98, THREESTUDIO),
        "optim.timesteps.t_max_end": Setting(0.5, "ProlificDreamer, arXiv:2305.16213: t_max falls to 0.5"),
        "optim.timesteps.anneal_end": Setting(0.5, "halfway, as " + CSD_3D),
    },
    "gaussian": {
        "optim.n_steps": Setting(500, DREAM_GAUSSIAN),
        "optim.views_per_step": Setting(4, "ours: DreamGaussian takes one view"),
        "optim.lr": Setting(0.01, f"{DREAM_GAUSSIAN}: that of the colours"),
        "optim.size": Setting(256, "ours: between the 128 and 512 pixels of DreamGaussian, arXiv:2309.16653"),
        "optim.timesteps.t_min": Setting(0.02, DREAM_GAUSSIAN),
        "optim.timesteps.t_max": Setting(0.98, DREAM_GAUSSIAN),
    },
}

TEMPLATE = "the size of ComfyUI's template for it"

FAMILIES: dict[str, Settings] = {
    "sd15": {"optim.size": Setting(512, "the size it was trained at (model card)")},
    "sd21_base": {"optim.size": Setting(512, "the size it was trained at (model card)")},
    "sd21_v": {"optim.size": Setting(768, "the size it was trained at (model card)")},
    "sdxl": {"optim.size": Setting(1024, "the size it was trained at, arXiv:2307.01952")},
    "sd3": {"optim.size": Setting(1024, "the size it was trained at, arXiv:2403.03206")},
    "flux": {"optim.size": Setting(1024, "ours: the size of its makers' examples")},
    "qwen_image": {"optim.size": Setting(1328, TEMPLATE)},
    "z_image": {"optim.size": Setting(1024, TEMPLATE)},
    "krea2": {"optim.size": Setting(1024, TEMPLATE)},
    "anima": {"optim.size": Setting(1024, TEMPLATE)},
    DEMO: {
        "optim.size": Setting(64, "the size it was trained at"),
        # without "oversaturated", which bleaches objects in 3D
        "prompt.negative_descriptors": Setting("blurry, pixelated, malformed", MEASURED),
    },
}

ENLARGED = "threestudio enlarges the views to the size the model was trained at"
FLOW_SCALE = "{}; no value for flow models is known to us"
FLOW_FAMILIES = ("sd3", "flux", "qwen_image", "z_image", "krea2", "anima")

EMBEDDED_OPTIM: dict[str, Settings] = {
    "image": {
        "optim.n_steps": Setting(250, MEASURED),
        "optim.views_per_step": Setting(1, MEASURED),
        "optim.lr": Setting(0.01, MEASURED),
    },
    "latent": {
        "optim.n_steps": Setting(250, MEASURED),
        "optim.views_per_step": Setting(1, MEASURED),
        "optim.lr": Setting(0.03, MEASURED),
    },
    "nerf": {
        "optim.n_steps": Setting(600, MEASURED),
        "optim.views_per_step": Setting(4, MEASURED),
        "optim.lr": Setting(0.02, MEASURED),
        "optim.latent_until": Setting(0.5, MEASURED),
    },
    "mesh_texture": {
        "optim.n_steps": Setting(200, MEASURED),
        "optim.views_per_step": Setting(4, MEASURED),
        "optim.lr": Setting(0.02, MEASURED),
        "optim.timesteps.t_max_end": Setting(0.15, MEASURED),
    },
    "gaussian": {
        "optim.n_steps": Setting(300, MEASURED),
        "optim.views_per_step": Setting(4, MEASURED),
        "optim.lr": Setting(0.02, MEASURED),
    },
}

def preset(
    family: str,  # a name in FAMILY_NAMES
    scene: str,  # a name in SCENES
    method: str,  # a method; one that has no presets keeps its own defaults
) -> dict[str, Setting]:
    """Settings by dotted name.

    Raises:
        ValueError: unknown family or scene; lists the names.
    """
    family = FORMER_NAMES.get(family, family)
    for kind, name, table in (("model family", family, FAMILY_NAMES), ("scene", scene, SCENES)):
        if name not in table:
            raise ValueError(f"Unknown {kind} {name!r}; choose one of {', '.join(table)}.")
    kind = DEMO if family == DEMO else PUBLISHED
    of_scene = (EMBEDDED_OPTIM if kind == DEMO else SCENES)[scene]
    of_method = preset_for(METHODS[method].presets, kind, scene) if method in METHODS else {}
    found = {**FAMILIES[family], **of_scene, **of_method}
    if kind == PUBLISHED and scene in ("nerf", "gaussian", "mesh_texture"):
        size = FAMILIES[family]["optim.size"]
        found["optim.encode_size"] = Setting(size.value, f"{ENLARGED}: {size.source}")
    if family in FLOW_FAMILIES and "guidance.guidance_scale" in found:
        scale = found["guidance.guidance_scale"]
        found["guidance.guidance_scale"] = Setting(scale.value, FLOW_SCALE.format(scale.source))
    return found


def with_settings(config: T, group: str, settings: Settings) -> T:
    """The configuration of one group of an experiment ("guidance", "optim" ...) with what a preset says of it."""
    for name, setting in settings.items():
        if name.startswith(f"{group}."):
            config = replaced(config, name.removeprefix(f"{group}."), setting.value)
    return config


def describe(family: str, scene: str, method: str) -> str:
    """The preset as lines of text: each value with its source."""
    found = preset(family, scene, method)
    lines = [f"{method} on {FAMILY_NAMES[FORMER_NAMES.get(family, family)]}, {scene} scene"]
    lines += [f"{name} = {setting.value}  ({setting.source})" for name, setting in sorted(found.items())]
    if not any(name.startswith("guidance.") for name in found):
        lines.append("guidance: the method's own defaults; no preset is known")
    return "\n".join(lines)
