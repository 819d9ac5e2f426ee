"""Methods in the plane of the shape and the texture objective."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.analysis.path import PathConfig
from ...tbsd_core.cameras.sampling import CameraConfig
from .. import sockets
from ..base import Node
from ..bridge.analysis import make_entries, run_paths, title_of
from ..optimize import is_given
from ..sockets import default
from .inputs import guidance_inputs, numbers, optim_config, optional_inputs, outputs, result, run_inputs, text_input


class ObjectivePathNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ObjectivePath",
            display_name="Objective Path",
            category=sockets.ANALYSIS,
            description="Runs methods from the same start and draws where they go between shape and texture, and "
            "which directions a balance of the two could reach.",
            is_output_node=True,
            inputs=[
                *guidance_inputs("A method. Its prompts need a target negative (TNP)."),
                *run_inputs(),
                io.Int.Input(
                    "every",
                    default=default(PathConfig, "every"),
                    min=1,
                    max=1000,
                    tooltip="Steps between measured points. Fewer steps: more exact, slower.",
                ),
                text_input(
                    "noise_levels",
                    default(PathConfig, "t"),
                    "Noise levels at which the objectives are measured, 0 to 1.",
                ),
                io.Int.Input(
                    "n_noises",
                    default=default(PathConfig, "n_noises"),
                    min=1,
                    max=64,
                    tooltip="Draws of noise per level that the objectives are means over.",
                ),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        guidance,
        scene,
        steps,
        lr,
        seed,
        every,
        noise_levels,
        n_noises,
        guidance_2=None,
        guidance_3=None,
        guidance_4=None,
        cameras=None,
        views_per_step=None,
        size=None,
        **t,
    ) -> io.NodeOutput:
        guided = [g for g in (guidance, guidance_2, guidance_3, guidance_4) if g is not None]
        optim = optim_config(guidance, scene, steps, lr, seed, views_per_step, size, t)
        config = PathConfig(every=every, t=numbers(noise_levels, "noise_levels"), n_noises=n_noises, seed=seed)
        entries = make_entries(guided, scene, cameras or CameraConfig(), optim, is_given(*t.values()))
        return result(run_paths(guided, entries, config, cls.hidden.unique_id, title_of(guidance)), cls)


NODES = [ObjectivePathNode]
