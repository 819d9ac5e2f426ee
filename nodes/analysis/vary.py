"""A setting of a method at several values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ...tbsd_core.analysis.vary import SHAPE_COEFFICIENT, VALUES, varied, vary_sheet
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import run_sheet, title_of
from .inputs import optional_inputs, outputs, result, run_inputs, runs_of, text_input, words

GROUP = "guidance."  # settings of the method, which the widget names without it


class VarySetting(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SweepShape",
            display_name="Vary a Setting",
            category=sockets.ANALYSIS,
            description="Runs a method with several values of one setting and shows the pictures with measures. By "
            "default it varies the weight of shape against texture in TBSD.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input(
                    "guidance", tooltip="The method. Use TBSD Guidance for the shape coefficient."
                ),
                *run_inputs(),
                io.String.Input(
                    "setting",
                    default=SHAPE_COEFFICIENT.removeprefix(GROUP),
                    tooltip="The setting by its dotted name. balance.shape_share: constant weight of the shape (sets "
                    "the balancer to fixed); balance.shape_floor: its least weight; guidance_scale ...",
                ),
                text_input("values", VALUES, "The values, separated by commas. Each is one run."),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, values=None) -> bool | str:
        return problem(cls, lambda values: words(values, "values"), values=values)

    @classmethod
    def execute(cls, setting: str, values: str, **inputs: Any) -> io.NodeOutput:
        guided, (base,) = runs_of(inputs)
        key, given, title = GROUP + setting, words(values, "values"), title_of(guided[0])
        entries = [replace(base, label=value, config=varied(base.config, key, value)) for value in given]
        node_id = cls.hidden.unique_id
        return result(run_sheet(guided, entries, (1.0,), node_id, lambda r: vary_sheet(r, key, given, title)), cls)


NODES = [VarySetting]
