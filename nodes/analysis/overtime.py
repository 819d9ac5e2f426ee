"""Methods over time."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...tbsd_core.analysis.overtime import MOMENTS, over_time_sheet
from .. import sockets
from ..base import Node, problem
from ..bridge.analysis import run_sheet, title_of
from .inputs import guidance_inputs, numbers, optional_inputs, outputs, result, run_inputs, runs_of, text_input


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
                text_input("moments", MOMENTS, "Moments of the run, one column each. 0 is the start, 1 is the end."),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, moments=None) -> bool | str:
        return problem(cls, lambda moments: numbers(moments, "moments"), moments=moments)

    @classmethod
    def execute(cls, moments: str, **inputs: Any) -> io.NodeOutput:
        guided, entries = runs_of(inputs)
        at, title, node_id = numbers(moments, "moments"), title_of(guided[0]), cls.hidden.unique_id
        return result(run_sheet(guided, entries, at, node_id, lambda found: over_time_sheet(found, at, title)), cls)


NODES = [OverTime]
