"""The purpose of a run, if it needs other settings than making something new. They win over the settings of a method.

Values are by kind of model family, as in the presets of methods and scenes; "ours" marks a choice that rests on reason,
MEASURED one that was compared on the small world (benchmarks/repairs.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from .scenes.mesh_texture import GREY
from .settings import DEMO, PUBLISHED, Setting, Settings
from .sources import MEASURED

CFD = "Consistent Flow Distillation, arXiv:2501.05445"
NO_SEAM = "ours, as of the demo model, where the colours of the two parts differ without it"
MATCH = 30.0  # the penalty is a mean square in [0, 1]; beside a gradient of unit RMS
PATTERN_STAYS = "ours, as of the demo model, where a pattern that a run begins with stays visible"
SDEDIT = "SDEdit, arXiv:2108.01073: noise of less than 0.3 keeps what is there"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One of TASKS.

    Args:
        summary: its purpose, as part of a sentence.
        scenes: the scenes that it works on.
        settings: by kind of model family and scene; "" is every scene.
    """

    summary: str
    scenes: tuple[str, ...]
    settings: dict[tuple[str, str], Settings]


NEW = "new"
TASKS: dict[str, Task] = {
    NEW: Task(summary="make something new", scenes=(), settings={}),
    "repair": Task(
        summary="paint the free part of a region so that it continues the locked part",
        scenes=("mesh_texture", "gaussian", "image"),
        settings={
            (PUBLISHED, ""): {
                "optim.timesteps.t_max": Setting(0.98, "ours: what is missing is made from nothing"),
                "optim.timesteps.t_max_end": Setting(0.3, "ours: late steps fit it to what is kept"),
            },
            (PUBLISHED, "mesh_texture"): {"scene.match_weight": Setting(MATCH, NO_SEAM)},
            (DEMO, "mesh_texture"): {"scene.match_weight": Setting(MATCH, MEASURED)},
        },
    ),
    "restyle": Task(
        summary="give the mesh another material or style; the part that may change begins in grey",
        scenes=("mesh_texture",),
        settings={
            (PUBLISHED, ""): {"scene.begin": Setting(GREY, PATTERN_STAYS)},
            (DEMO, ""): {"scene.begin": Setting(GREY, MEASURED)},
        },
    ),
    "sharpen": Task(
        summary="add the fine detail that a blurry texture lacks, and keep its colours",
        scenes=("mesh_texture",),
        settings={
            (PUBLISHED, ""): {
                "optim.timesteps.t_max": Setting(0.3, SDEDIT),
                "optim.timesteps.t_max_end": Setting(0.1, "ours: fine detail comes last"),
                "optim.noise": Setting("surface", f"{CFD}, Section 4.3"),
                "optim.lr": Setting(0.01, "ours: half of what paints from nothing"),
                "scene.pin_weight": Setting(100.0, MEASURED),
                "scene.tv_weight": Setting(0.02, "ours: less smoothing where detail is what is asked for"),
            },
            (DEMO, ""): {
                "optim.timesteps.t_max": Setting(0.3, MEASURED),
                "optim.timesteps.t_max_end": Setting(0.1, MEASURED),
                "optim.noise": Setting("surface", f"{CFD}, Section 4.3"),
                "scene.pin_weight": Setting(100.0, MEASURED),
            },
        },
    ),
}


def task_settings(task: str, family: str, scene: str) -> Settings:
    """The settings that a task changes in a preset.

    Raises:
        ValueError: an unknown task, or one that cannot be done on the scene.
    """
    if task not in TASKS:
        raise ValueError(f"Unknown task {task!r}; choose one of {', '.join(TASKS)}.")
    found = TASKS[task]
    if found.scenes and scene not in found.scenes:
        raise ValueError(f"The task {task} is for the scene {' or '.join(found.scenes)}, got {scene!r}.")
    kind = DEMO if family == DEMO else PUBLISHED
    return {**found.settings.get((kind, ""), {}), **found.settings.get((kind, scene), {})}
