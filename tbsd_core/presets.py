"""Where a run starts before the user changes anything: settings by model family, scene and method.

Every value carries its source. "measured" means: on the small world, see benchmarks/. Values for real
checkpoints are published ones where there are any; "ours" marks a choice that rests on nothing but reason.
Later ones win: FAMILIES, the presets of the scene's specification, METHODS, METHOD_SCENES; the embedded priors have
tables of their own. Names are those of run.RunConfig (`--set`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .scenes import SCENES
from .settings import DEMO, PUBLISHED, preset_for


@dataclass(frozen=True)
class Setting:
    value: float | int | str | None
    source: str


Settings = Mapping[str, Setting]

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
    "embedded": "the demo model of this pack",
}

DREAMFUSION = "DreamFusion, arXiv:2209.14988"
THREESTUDIO = "threestudio, dreamfusion-sd.yaml"
BRIDGE_2D = "SDS-Bridge, arXiv:2406.09417, its generate.py"
BRIDGE_3D = "SDS-Bridge, arXiv:2406.09417, its sds-bridge.yaml"
CSD_3D = "CSD, arXiv:2310.19415, its csd-if.yaml"
PROLIFIC_3D = "ProlificDreamer, arXiv:2305.16213, threestudio's prolificdreamer.yaml"
PROLIFIC_2D = "ProlificDreamer, arXiv:2305.16213, the 2D script prolific_dreamer2d"
ESD_3D = "ESD, arXiv:2401.00909, the authors' README"
NFSD_PAPER = "NFSD, arXiv:2310.17590"
BSD_2D = "PlacidDreamer, arXiv:2407.13976, its exp_2d.py"
BSD_3D = "PlacidDreamer, arXiv:2407.13976, its train_step_BSD"
ISM_3D = "LucidDreamer, arXiv:2311.11284, the authors' configs"
SDI_3D = "SDI, arXiv:2405.15891, its sdi.yaml"
SDI_2D = "SDI, arXiv:2405.15891, its 2D script"
HIFA_3D = "HiFA, arXiv:2305.18766, threestudio's hifa.yaml"
NO_PIXELS = "ours: latents have no pixels for this gradient"
MEASURED = "measured on the small world"

METHODS: dict[str, Settings] = {
    "sds": {
        "guidance.guidance_scale": Setting(100.0, f"{DREAMFUSION}; {THREESTUDIO}"),
        "guidance.weighting": Setting("sigma2", f"{DREAMFUSION}; {THREESTUDIO}"),
    },
    "csd": {
        "guidance.negative_start": Setting(0.0, CSD_3D),
        "guidance.negative_end": Setting(1.0, CSD_3D),
        "guidance.anneal_end": Setting(0.5, f"{CSD_3D}: over 5000 of 10 000 steps"),
        "guidance.weighting": Setting("uniform", CSD_3D),
    },
    "bridge": {
        "guidance.guidance_scale": Setting(40.0, BRIDGE_2D),
        "guidance.switch": Setting(0.5, BRIDGE_2D),
        "guidance.weighting": Setting("sigma2", BRIDGE_2D),
    },
    "tbsd": {
        "guidance.guidance_scale": Setting(40.0, f"that of Bridge ({BRIDGE_2D}); no value of TBSD's is known to us"),
        "guidance.weighting": Setting("sigma2", f"that of Bridge ({BRIDGE_2D}); no value of TBSD's is known to us"),
    },
    "vsd": {
        "guidance.guidance_scale": Setting(7.5, PROLIFIC_3D),
        "guidance.weighting": Setting("sigma2", PROLIFIC_3D),
        "guidance.lora.lr": Setting(1e-4, f"{PROLIFIC_3D}; {PROLIFIC_2D}"),
        "guidance.lora.camera_dropout": Setting(0.1, PROLIFIC_3D),
    },
    "esd": {
        "guidance.guidance_scale": Setting(7.5, f"that of VSD ({PROLIFIC_3D})"),
        "guidance.entropy": Setting(0.5, ESD_3D),
        "guidance.weighting": Setting("sigma2", f"that of VSD ({PROLIFIC_3D})"),
        "guidance.lora.lr": Setting(1e-4, f"that of VSD ({PROLIFIC_3D})"),
        "guidance.lora.camera_dropout": Setting(0.1, f"that of VSD ({PROLIFIC_3D})"),
    },
    "nfsd": {
        "guidance.guidance_scale": Setting(7.5, NFSD_PAPER),
        "guidance.clean_below": Setting(0.2, f"{NFSD_PAPER}: 200 of 1000"),
    },
    "bsd": {
        "guidance.guidance_scale": Setting(1 / 0.018, f"{BSD_2D}: 1 to 0.018"),
        "guidance.weighting": Setting("sqrt_alpha", BSD_2D),
    },
    "ism": {
        "guidance.guidance_scale": Setting(7.5, ISM_3D),
        "guidance.baseline": Setting("negative", ISM_3D),
        "guidance.stride": Setting(0.2, f"{ISM_3D}: 200 of 1000"),
        "guidance.interval": Setting(0.05, f"{ISM_3D}: 25, 50 or 80 of 1000, by prompt"),
        "guidance.interval_start": Setting(0.1, f"{ISM_3D}: 100 of 1000"),
        "guidance.interval_anneal": Setting(0.3, f"{ISM_3D}: over 1500 of 5000 steps"),
        "guidance.weighting": Setting("sigma_over_alpha", ISM_3D),
        "optim.timesteps.t_max_end": Setting(0.5, ISM_3D),
        "optim.timesteps.anneal_end": Setting(0.3, f"{ISM_3D}: over 1500 of 5000 steps"),
    },
    "sdi": {
        "guidance.guidance_scale": Setting(7.5, SDI_3D),
        "guidance.inversion_scale": Setting(-7.5, SDI_3D),
        "guidance.n_inversion_steps": Setting(10, SDI_3D),
        "guidance.eta": Setting(0.3, SDI_3D),
        "optim.timesteps.draw": Setting("highest", SDI_3D),
        "optim.timesteps.t_max_end": Setting(0.02, SDI_2D),
        "optim.timesteps.anneal_end": Setting(1.0, f"{SDI_3D}: linear over the run"),
    },
    "hifa": {
        "guidance.guidance_scale": Setting(100.0, HIFA_3D),
        "guidance.pixel_scale": Setting(0.01, HIFA_3D),
        "optim.timesteps.draw": Setting("highest", HIFA_3D),
        "optim.timesteps.anneal": Setting("sqrt", HIFA_3D),
        "optim.timesteps.t_max_end": Setting(0.3, HIFA_3D),
        "optim.timesteps.anneal_end": Setting(1.0, f"{HIFA_3D}: over the run"),
    },
}

METHOD_SCENES: dict[tuple[str, str], Settings] = {
    ("bridge", "nerf"): {
        "optim.n_steps": Setting(25_000, BRIDGE_3D),
        "optim.timesteps.anneal_end": Setting(0.2, f"{BRIDGE_3D}: at step 5000 of 25 000"),
        "guidance.guidance_scale": Setting(100.0, f"{BRIDGE_3D}, first stage"),
        "guidance.switch": Setting(0.8, f"{BRIDGE_3D}: at step 20 000 of 25 000"),
    },
    ("vsd", "latent"): {"optim.lr": Setting(0.03, PROLIFIC_2D), "optim.n_steps": Setting(500, PROLIFIC_2D)},
    ("vsd", "nerf"): {
        "optim.n_steps": Setting(25_000, PROLIFIC_3D),
        "optim.timesteps.anneal_end": Setting(0.2, f"{PROLIFIC_3D}: at step 5000 of 25 000"),
    },
    ("esd", "latent"): {
        "optim.lr": Setting(0.03, f"that of VSD ({PROLIFIC_2D})"),
        "optim.n_steps": Setting(500, f"that of VSD ({PROLIFIC_2D})"),
    },
    ("esd", "nerf"): {
        "optim.n_steps": Setting(25_000, f"that of VSD ({PROLIFIC_3D})"),
        "optim.timesteps.anneal_end": Setting(0.2, f"that of VSD ({PROLIFIC_3D})"),
    },
    ("bsd", "latent"): {"optim.lr": Setting(0.06, BSD_2D), "optim.n_steps": Setting(1200, BSD_2D)},
    ("bsd", "nerf"): {"guidance.guidance_scale": Setting(15.0, BSD_3D)},
    ("sdi", "latent"): {"optim.lr": Setting(0.1, SDI_2D)},
    ("sdi", "nerf"): {"optim.timesteps.t_max_end": Setting(0.25, SDI_3D)},
    ("hifa", "latent"): {"guidance.pixel_scale": Setting(0.0, NO_PIXELS)},
    ("hifa", "nerf"): {"optim.n_steps": Setting(25_000, HIFA_3D)},
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
    "embedded": {"optim.size": Setting(64, "the size it was trained at")},
}

ENLARGED = "threestudio enlarges the views to the size the model was trained at"
FLOW_SCALE = "{}; no value for flow models is known to us"
FLOW_FAMILIES = ("sd3", "flux", "qwen_image", "z_image", "krea2", "anima")

# without "oversaturated", which bleaches objects in 3D
EMBEDDED_FAULTS = Setting("blurry, pixelated, malformed", MEASURED)

# fields that are not named keep the method's own default
EMBEDDED_GUIDANCE: dict[str, Settings] = {
    "sds": {"guidance.guidance_scale": Setting(6.0, MEASURED)},
    "bridge": {"guidance.guidance_scale": Setting(6.0, MEASURED), "guidance.anchor": Setting(1.0, MEASURED)},
    "tbsd": {
        "guidance.guidance_scale": Setting(6.0, MEASURED),
        "guidance.balancer": Setting("unit_schedule", MEASURED),
        "guidance.balance.schedule.start": Setting(0.8, MEASURED),
        "guidance.balance.schedule.end": Setting(0.4, MEASURED),
    },
    "sdi": {
        "optim.timesteps.draw": Setting("highest", SDI_3D),
        "optim.timesteps.t_max_end": Setting(0.02, SDI_2D),
        "optim.timesteps.anneal_end": Setting(1.0, f"{SDI_3D}: linear over the run"),
    },
    "hifa": {
        "guidance.guidance_scale": Setting(7.5, MEASURED),
        "optim.timesteps.draw": Setting("highest", HIFA_3D),
        "optim.timesteps.anneal": Setting("sqrt", HIFA_3D),
        "optim.timesteps.t_max_end": Setting(0.3, HIFA_3D),
        "optim.timesteps.anneal_end": Setting(1.0, f"{HIFA_3D}: over the run"),
    },
}
EMBEDDED_METHOD_SCENES: dict[tuple[str, str], Settings] = {
    # an object is built from nothing: all shape at first
    ("tbsd", "nerf"): {"guidance.balance.schedule.start": Setting(1.0, MEASURED)},
    ("tbsd", "gaussian"): {"guidance.balance.schedule.start": Setting(1.0, "as for the NeRF")},
    ("tbsd", "mesh_texture"): {"guidance.balance.schedule.start": Setting(1.0, MEASURED)},
    ("hifa", "nerf"): {"optim.latent_until": Setting(0.0, "ours: HiFA compares pixels from the first step on")},
    ("hifa", "latent"): METHOD_SCENES["hifa", "latent"],
    # without drawn noise the errors of the inversion add up: at 0.01 the background of "a brick house" fills with spots
    ("ism", "image"): {"optim.lr": Setting(0.005, MEASURED)},
    ("sdi", "image"): {"optim.lr": Setting(0.005, MEASURED)},
}


def preset(
    family: str,  # a name in FAMILY_NAMES
    scene: str,  # a name in SCENES
    method: str,  # a method; one that METHODS lacks keeps its own defaults
) -> dict[str, Setting]:
    """Settings by dotted name.

    Raises:
        ValueError: unknown family or scene; lists the names.
    """
    for kind, name, table in (("model family", family, FAMILY_NAMES), ("scene", scene, SCENES)):
        if name not in table:
            raise ValueError(f"Unknown {kind} {name!r}; choose one of {', '.join(table)}.")
    size = FAMILIES[family]["optim.size"]
    if family == "embedded":
        tables = (
            preset_for(SCENES[scene].presets, DEMO, method),
            EMBEDDED_GUIDANCE.get(method, {}),
            EMBEDDED_METHOD_SCENES.get((method, scene), {}),
        )
        common = {"optim.size": size, "prompt.negative_descriptors": EMBEDDED_FAULTS}
        return common | {name: setting for table in tables for name, setting in table.items()}
    of_scene = preset_for(SCENES[scene].presets, PUBLISHED, method)
    found = {"optim.size": size, **of_scene, **METHODS.get(method, {}), **METHOD_SCENES.get((method, scene), {})}
    if SCENES[scene].uses_cameras:
        found["optim.encode_size"] = Setting(size.value, f"{ENLARGED}: {size.source}")
    if family in FLOW_FAMILIES and "guidance.guidance_scale" in found:
        scale = found["guidance.guidance_scale"]
        found["guidance.guidance_scale"] = Setting(scale.value, FLOW_SCALE.format(scale.source))
    return found


def describe(family: str, scene: str, method: str) -> str:
    """The preset as lines of text: each value with its source."""
    found = preset(family, scene, method)
    lines = [f"{method} on {FAMILY_NAMES[family]}, {scene} scene"]
    lines += [f"{name} = {setting.value}  ({setting.source})" for name, setting in sorted(found.items())]
    if not any(name.startswith("guidance.") for name in found):
        lines.append("guidance: the method's own defaults; no preset is known")
    return "\n".join(lines)
