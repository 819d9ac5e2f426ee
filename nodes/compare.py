"""Methods side by side."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.optim import OptimConfig
from ..tbsd_core.scenes import Scene
from ..tbsd_core.study import told_apart
from . import sockets
from .base import Node, problem
from .bridge.compare import compare, plan, settings_of
from .bridge.files import inside_output
from .bridge.preview import check_packages
from .bridge.queued import queued_by
from .bridge.regions import with_region
from .optimize import has_timesteps, optim_of, timestep_inputs, timesteps_input
from .sockets import GuidedModel
from .widgets import widgets

SLOTS, PROMPT_SLOTS = 6, 4
MATCH = {"steps": False, "noise predictions": True}


def column_name(guided: GuidedModel) -> str:
    """A method's name, and its scale where it has one."""
    scale = getattr(guided.guidance.config, "guidance_scale", None)
    return type(guided.guidance).__name__ + (f" {scale:g}" if scale is not None else "")


def columns(
    labels: str,
    slots: dict[str, GuidedModel | None],
    own_prompts: bool = True,  # whether each runs on the prompts of its guidance
) -> list[tuple[str, GuidedModel]]:
    """Label and guidance of every connected slot, in their order; each label once, as rows of the table have it."""
    connected = [g for _, g in sorted(slots.items()) if g is not None]
    given = [line.strip() for line in labels.splitlines()]
    names = [next(iter(given[i : i + 1]), "") or column_name(g) for i, g in enumerate(connected)]
    unique = told_apart(names, [settings_of(g, own_prompts) for g in connected])
    return list(zip(unique, connected, strict=True))


class Compare(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Compare",
            display_name="Compare Methods",
            category=sockets.OPTIMIZE,
            description="Runs several methods from the same start with the same noise and shows the results as one "
            "labelled picture.",
            is_output_node=True,
            inputs=[
                sockets.SceneSocket.Input(
                    "scene", tooltip="Where every run starts: a scene of pictures, a NeRF, splats or a mesh."
                ),
                sockets.GuidanceSocket.Input("guidance_1", tooltip="The first column; it sets the budget for match."),
                *(
                    sockets.GuidanceSocket.Input(f"guidance_{i}", optional=True, tooltip=f"Column {i}.")
                    for i in range(2, SLOTS + 1)
                ),
                io.String.Input(
                    "labels",
                    default="",
                    multiline=True,
                    tooltip="Names of the columns, one per line. An empty line stands for the method and its scale.",
                ),
                *widgets(OptimConfig(), ("steps",)),
                io.Combo.Input(
                    "match",
                    options=list(MATCH),
                    default=next(iter(MATCH)),
                    tooltip="steps: all methods take the same number of steps. noise predictions: all methods get "
                    "as many predictions as the first one, so a method that needs three per step takes fewer "
                    "steps than one that needs two.",
                ),
                *widgets(OptimConfig(), ("lr",)),
                sockets.seed_input("The first seed. Noise, timesteps and cameras are the same in all columns."),
                io.Int.Input("n_seeds", default=1, min=1, max=16, tooltip="Rows per prompt: seed, seed + 1, ..."),
                *widgets(OptimConfig(), ("views_per_step", "size")),
                io.String.Input(
                    "filename_prefix",
                    default="tbsd/compare",
                    tooltip="Folder inside the output folder. Each cell is written as soon as it is finished.",
                ),
                *(
                    sockets.PromptsSocket.Input(
                        f"prompts_{i}",
                        optional=True,
                        tooltip="Prompts to compare on instead of the prompts of the guidance nodes, one block of "
                        "rows each.",
                    )
                    for i in range(1, PROMPT_SLOTS + 1)
                ),
                sockets.CamerasSocket.Input(
                    "cameras", optional=True, tooltip="For 3D scenes: where the cameras stand."
                ),
                *timestep_inputs(),
                timesteps_input(),
            ],
            outputs=[
                io.Image.Output(display_name="grid", tooltip="All results with their labels as one picture."),
                io.Image.Output(display_name="images", tooltip="The results alone, in the order of the table."),
                io.String.Output(display_name="table", tooltip="A table of all runs with their measures, as Markdown."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(
        cls, scene: Scene, labels: str, match: str, n_seeds: int, filename_prefix: str, cameras=None, **inputs: Any
    ) -> io.NodeOutput:
        check_packages()
        prompts = [v for k, v in sorted(inputs.items()) if k.startswith("prompts_") and v is not None]
        methods = columns(labels, {k: v for k, v in inputs.items() if k.startswith("guidance_")}, not prompts)
        scene = with_region(scene, None, goes_on=False)
        optim = optim_of(inputs, scene, methods[0][1])
        seeds, cameras = range(optim.seed, optim.seed + n_seeds), cameras or CameraConfig()
        jobs = plan(methods, prompts, seeds, scene, cameras, optim, MATCH[match], has_timesteps(inputs))
        result = compare(jobs, scene, filename_prefix, queued_by(cls))
        shown = ui.PreviewImage(result.grid, cls=cls).as_dict() | {"text": [result.table]}
        return io.NodeOutput(result.grid, result.images, result.table, ui=shown)


NODES = [Compare]
