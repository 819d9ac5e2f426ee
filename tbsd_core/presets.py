"""The settings that a run starts with before the user changes anything, by model family, scene and method.

Every value carries its source. "measured" means: on the small world, see benchmarks/. Values for real
checkpoints are published ones if there are any; "ours" marks a choice that rests on nothing but reason. Later ones win,
in this order: the family, the scene (scenes.spec.SceneSpec.presets), the method (guidance.spec.MethodSpec.presets), the
task (tasks), a card of little memory (card_presets). Names are dotted names of an ExperimentConfig, as for `--set`.
"""

from __future__ import annotations

from typing import TypeVar

from .card_presets import of_card
from .configuration import replaced
from .guidance import METHODS
from .scenes import SCENES
from .settings import DEMO, PUBLISHED, Setting, Settings, preset_for
from .sources import MEASURED, RFDS
from .tasks import NEW, TASKS, task_settings

T = TypeVar("T")

FAMILY_NAMES: dict[str, str] = {
    "sd15": "Stable Diffusion 1.x",
    "sd21_base": "Stable Diffusion 2.x base (noise prediction, 512 pixels)",
    "sd21_v": "Stable Diffusion 2.x (v prediction, 768 pixels)",
    "zero123": "Stable Zero123 and Zero123-XL (a picture, no text)",
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

TEMPLATE = "the size of ComfyUI's template for it"

FAMILIES: dict[str, Settings] = {
    "sd15": {"optim.size": Setting(512, "the size it was trained at (model card)")},
    "sd21_base": {"optim.size": Setting(512, "the size it was trained at (model card)")},
    "sd21_v": {"optim.size": Setting(768, "the size it was trained at (model card)")},
    "zero123": {"optim.size": Setting(256, "the size it was trained at, arXiv:2303.11328")},
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

STABLE_ZERO123 = "threestudio, stable-zero123.yaml"
OF_PICTURES: Settings = {  # for objects that are made of a picture; each fits what those before it have set
    "guidance.guidance_scale": Setting(3.0, STABLE_ZERO123),
    "optim.n_steps": Setting(1200, f"ours: as many views as {STABLE_ZERO123} sees in its 600 steps of 12, 8 and 4"),
    "optim.timesteps.t_max": Setting(0.98, STABLE_ZERO123),
    "optim.timesteps.t_max_end": Setting(0.8, STABLE_ZERO123),
    "optim.timesteps.t_min": Setting(0.3, f"{STABLE_ZERO123} falls to it from 0.7"),
    "optim.timesteps.anneal_end": Setting(0.33, f"{STABLE_ZERO123}: at step 200 of 600"),
    "cameras.distance": Setting(5.8, f"{STABLE_ZERO123}: 3.8; ours, so that the frame just holds our scene"),
    "cameras.distance_max": Setting(None, f"{STABLE_ZERO123}: all are equally far away"),
    "cameras.fov_y": Setting(20.0, STABLE_ZERO123),
    "cameras.fov_y_max": Setting(None, f"{STABLE_ZERO123}: all have one lens"),
    "cameras.elevation_min": Setting(-10.0, STABLE_ZERO123),
    "cameras.elevation_max": Setting(80.0, STABLE_ZERO123),
    "scene.background_mode": Setting("white", "the background of its training, arXiv:2303.11328"),
    "scene.shaded": Setting(0.0, f"{STABLE_ZERO123} lights nothing"),
}
OF_PICTURES_ON_MESHES: Settings = {
    "scene.background": Setting((1.0, 1.0, 1.0), "the background of its training, arXiv:2303.11328"),
    "scene.shading": Setting("none", f"{STABLE_ZERO123} lights nothing"),
    "optim.size": Setting(256, "the size it was trained at, arXiv:2303.11328"),
}

ENLARGED = "threestudio enlarges the views to the size the model was trained at"
# families whose views are enlarged to less than that
DISTILLED_AT = {"sd3": Setting(512, f"{RFDS}: 256, then 512 pixels; it was also trained at these")}
FLOW_FAMILIES = ("sd3", "flux", "qwen_image", "z_image", "krea2", "anima")
FLOW_SCALE = "{}; no value for flow models is known to us"
FLOW_SCALES = {False: Setting(50.0, f"{RFDS}, for Stable Diffusion 3 in 2D"), True: Setting(100.0, f"{RFDS}, in 3D")}
MOST_NOISE = 0.7
FLOW_T_MAX = Setting(MOST_NOISE, f"{RFDS} in 3D: noise of at most 0.875, at 0.7 of a schedule with a shift of 3")
MOST_OF_FLUX = 10.0
FLUX_SCALE = Setting(MOST_OF_FLUX, "ours, not tried: its predictions are guided already, and more over-guides")
FLOW_WEIGHTING = Setting("velocity", f"{RFDS}: weight 1 on velocities")


def preset(
    family: str,  # a name in FAMILY_NAMES
    scene: str,  # a name in SCENES
    method: str,  # a method; one that has no presets keeps its own defaults
    memory: int | None = None,  # GB of the card, see card_presets; None: enough
    task: str = NEW,  # the purpose of the run, a name in TASKS
) -> dict[str, Setting]:
    """Settings by dotted name.

    Raises:
        ValueError: unknown family, scene or task, listing the names, or a task that is not for the scene.
    """
    family = FORMER_NAMES.get(family, family)
    for kind, name, table in (("model family", family, FAMILY_NAMES), ("scene", scene, SCENES)):
        if name not in table:
            raise ValueError(f"Unknown {kind} {name!r}; choose one of {', '.join(table)}.")
    kind = DEMO if family == DEMO else PUBLISHED
    of_scene = preset_for(SCENES[scene].presets, kind, method)
    of_method = preset_for(METHODS[method].presets, kind, scene) if method in METHODS else {}
    of_task = task_settings(task, family, scene)
    found = {**FAMILIES[family], **of_scene, **of_method}
    if kind == PUBLISHED and SCENES[scene].uses_cameras:
        size = FAMILIES[family]["optim.size"]
        enlarged = Setting(size.value, f"{ENLARGED}: {size.source}")
        found["optim.encode_size"] = DISTILLED_AT.get(family, enlarged)
    if family == "zero123" and SCENES[scene].uses_cameras:
        own_noise = any(name.startswith("optim.timesteps.") for name in of_task)
        of_pictures = {n: s for n, s in OF_PICTURES.items() if _holds(n, found, method, own_noise)}
        of_pictures |= OF_PICTURES_ON_MESHES if SCENES[scene].paints_mesh else {}
        found = {name: s for name, s in found.items() if name not in of_pictures} | of_pictures
    found |= of_task
    if family in FLOW_FAMILIES:
        found |= _of_flow(found, family, scene, method)
    return found | of_card(family, scene, memory)


def _holds(name: str, found: Settings, method: str, own_noise: bool) -> bool:
    """Whether a setting of OF_PICTURES is one of this scene and method; those that draw the highest noise keep it, and
    a task with noise of its own keeps that."""
    group, *_, last = name.split(".")
    if group == "guidance":
        return method == "sds"
    if last.startswith("t_") or last == "anneal_end":
        return not own_noise and "optim.timesteps.draw" not in found
    return group != "scene" or name in found


def _of_flow(found: Settings, family: str, scene: str, method: str) -> dict[str, Setting]:
    """The differences for flow models, in settings that the preset names: RFDS is SDS in their terms."""
    changed = {}
    if "guidance.guidance_scale" in found:
        scale = found["guidance.guidance_scale"]
        unknown = Setting(scale.value, FLOW_SCALE.format(scale.source))
        changed["guidance.guidance_scale"] = FLOW_SCALES[SCENES[scene].uses_cameras] if method == "sds" else unknown
        if family == "flux" and isinstance(scale.value, float) and scale.value > MOST_OF_FLUX:
            changed["guidance.guidance_scale"] = FLUX_SCALE
    if method in ("sds", "tbsd", "bridge"):
        names = [name for name in ("guidance.weighting", "guidance.texture_weighting") if name in found]
        changed |= dict.fromkeys(names, FLOW_WEIGHTING)
    for name in ("t_max", "t_max_end") if SCENES[scene].uses_cameras else ():
        now = found.get(f"optim.timesteps.{name}")
        if now is not None and isinstance(now.value, float) and now.value > MOST_NOISE:
            changed[f"optim.timesteps.{name}"] = FLOW_T_MAX
    return changed


def native_size(family: str) -> int:
    """Pixels along a side of the pictures that a model family was trained on. Raises KeyError for an unknown one."""
    return _pixels(FAMILIES[family]["optim.size"])


def enlarged_to(family: str, native: int | None = None) -> int:
    """Pixels to which smaller views are enlarged for a model of a family.

    Args:
        native: the training size that the model itself names; None: the family's.
    """
    return _pixels(DISTILLED_AT[family]) if family in DISTILLED_AT else native or native_size(family)


def _pixels(setting: Setting) -> int:
    assert isinstance(setting.value, int)
    return setting.value


def with_settings(config: T, group: str, settings: Settings) -> T:
    """The configuration of one group of an experiment ("guidance", "optim" ...) with the settings of a preset."""
    for name, setting in settings.items():
        if name.startswith(f"{group}."):
            config = replaced(config, name.removeprefix(f"{group}."), setting.value)
    return config


def describe(
    family: str,
    scene: str,
    method: str,
    memory: int | None = None,
    task: str = NEW,
    found: Settings | None = None,  # if they differ from the preset
) -> str:
    """The preset as lines of text: each value with its source."""
    found = preset(family, scene, method, memory, task) if found is None else found
    card = "" if memory is None else f", for a card of {memory} GB"
    what = "" if task == NEW else f", to {TASKS[task].summary}"
    lines = [f"{method} on {FAMILY_NAMES[FORMER_NAMES.get(family, family)]}, {scene} scene{what}{card}"]
    lines += [f"{name} = {setting.value}  ({setting.source})" for name, setting in sorted(found.items())]
    if not any(name.startswith("guidance.") for name in found):
        lines.append("guidance: the method's own defaults; no preset is known")
    return "\n".join(lines)
