"""Methods over time."""

from __future__ import annotations

from comfy_api.latest import io

from ...tbsd_core.analysis.overtime import MOMENTS, over_time_sheet
from ...tbsd_core.cameras.sampling import CameraConfig
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import make_entries, run_sheet, title_of
from ..optimize import is_given
from .inputs import guidance_inputs, numbers, optim_config, optional_inputs, outputs, result, run_inputs, text_input


class OverTime(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_OverTime",
            display_name="Methods Over Time",
            category=sockets.ANALYSIS,
            description="Runs several methods from the same start and shows their pictures at chosen moments, a row "
            "per method: for example Bridge with TNP and with GNP.",
            is_output_node=True,
            inputs=[
                *guidance_inputs("The method of the first row."),
                *run_inputs(),
                text_input("moments", MOMENTS, "A column each: 0 is the start, 1 the end of the run."),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, moments=None) -> bool | str:
        return problem(cls, lambda moments: numbers(moments, "moments"), moments=moments)

    @classmethod
    def execute(
        cls,
        guidance,
        scene,
        steps,
        lr,
        seed,
        moments,
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
        at = numbers(moments, "moments")
        entries = make_entries(guided, scene, cameras or CameraConfig(), optim, is_given(*t.values()))
        title = title_of(guidance)
        made = run_sheet(
            guided, entries, at, cls.hidden.unique_id, lambda results: over_time_sheet(results, at, title)
        )
        return result(made, cls)


NODES = [OverTime]
