"""A setting of a method at several values."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ...tbsd_core.analysis.vary import SHAPE_COEFFICIENT, VALUES, varied, vary_sheet
from ...tbsd_core.cameras.sampling import CameraConfig
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import make_entries, run_sheet, title_of
from ..optimize import is_given
from .inputs import optim_config, optional_inputs, outputs, result, run_inputs, text_input, words

GROUP = "guidance."  # settings of the method, which the widget names without it


class VarySetting(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SweepShape",
            display_name="Vary a Setting",
            category=sockets.ANALYSIS,
            description="Runs a method with several values of one setting and shows the pictures with measures. The "
            "default is the weight of the shape against the texture in TBSD.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input(
                    "guidance", tooltip="The method; for the shape coefficient TBSD Guidance."
                ),
                *run_inputs(),
                io.String.Input(
                    "setting",
                    default=SHAPE_COEFFICIENT.removeprefix(GROUP),
                    tooltip="The setting by its dotted name. balance.shape_share: constant weight of the shape (sets "
                    "the balancer to fixed); balance.shape_floor: its least weight; guidance_scale ...",
                ),
                text_input("values", VALUES, "The values, separated by commas: a run each."),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, values=None) -> bool | str:
        return problem(cls, lambda values: words(values, "values"), values=values)

    @classmethod
    def execute(
        cls,
        guidance,
        scene,
        steps,
        lr,
        seed,
        setting,
        values,
        cameras=None,
        views_per_step=None,
        size=None,
        **t,
    ) -> io.NodeOutput:
        given = words(values, "values")
        optim = optim_config(guidance, scene, steps, lr, seed, views_per_step, size, t)
        (base,) = make_entries([guidance], scene, cameras or CameraConfig(), optim, is_given(*t.values()))
        entries = [replace(base, label=value, config=varied(base.config, GROUP + setting, value)) for value in given]
        title = title_of(guidance)
        made = run_sheet(
            [guidance],
            entries,
            (1.0,),
            cls.hidden.unique_id,
            lambda results: vary_sheet(results, GROUP + setting, given, title),
        )
        return result(made, cls)


NODES = [VarySetting]
