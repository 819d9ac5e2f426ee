"""The same settings from several seeds."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.analysis.seeds import seed_entries, seeds_sheet
from ...tbsd_core.cameras.sampling import CameraConfig
from .. import sockets
from ..base import Node
from ..bridge.analysis import make_entries, run_sheet, title_of
from ..optimize import is_given
from .inputs import guidance_inputs, optim_config, optional_inputs, outputs, result, run_inputs


class SeedsGrid(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SeedsGrid",
            display_name="Seeds Grid",
            category=sockets.ANALYSIS,
            description="Runs the same settings from several seeds: how much of a result is luck.",
            is_output_node=True,
            inputs=[
                *guidance_inputs("The method of the first row."),
                *run_inputs(),
                io.Int.Input(
                    "n_seeds", default=4, min=1, max=64, tooltip="How many seeds, from the seed above upwards."
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
        n_seeds,
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
        rows = make_entries(guided, scene, cameras or CameraConfig(), optim, is_given(*t.values()))
        title = title_of(guidance)
        entries = [entry for row in rows for entry in seed_entries(row, range(seed, seed + n_seeds))]
        made = run_sheet(guided, entries, (1.0,), cls.hidden.unique_id, lambda results: seeds_sheet(results, title))
        return result(made, cls)


NODES = [SeedsGrid]
