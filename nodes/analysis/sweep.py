"""A setting of a method at several values."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ...tbsd_core.analysis.sweep import SHAPE_COEFFICIENT, VALUES, sweep_sheet, with_value
from ...tbsd_core.cameras.sampling import CameraConfig
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import make_cases, run_sheet, title_of
from .inputs import optim_config, optional_inputs, outputs, result, run_inputs, text_input, words


class SweepShape(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SweepShape",
            display_name="Sweep Shape Coefficient",
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
                    default=SHAPE_COEFFICIENT,
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
        guided = [replace(guidance, guidance=with_value(guidance.guidance, setting, value)) for value in given]
        optim = optim_config(guidance, scene, steps, lr, seed, views_per_step, size, t)
        sheet = run_sheet(
            guided,
            lambda: make_cases(guided, scene, optim),
            cameras or CameraConfig(),
            optim,
            (1.0,),
            cls.hidden.unique_id,
            lambda results: sweep_sheet(results, setting, given, title_of(guidance)),
        )
        return result(sheet, cls)


NODES = [SweepShape]
