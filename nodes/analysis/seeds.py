"""The same settings from several seeds."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...tbsd_core.analysis.seeds import seed_entries, seeds_sheet
from .. import sockets
from ..base import Node
from ..bridge.analysis import run_sheet, title_of
from .inputs import guidance_inputs, optional_inputs, outputs, result, run_inputs, runs_of


class SeedsGrid(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SeedsGrid",
            display_name="Seeds Grid",
            category=sockets.ANALYSIS,
            description="Runs the same settings with several seeds, to show how much of a result is luck.",
            is_output_node=True,
            inputs=[
                *guidance_inputs("The method of the first row."),
                *run_inputs(),
                io.Int.Input(
                    "n_seeds", default=4, min=1, max=64, tooltip="Number of seeds, counted upwards from the seed above."
                ),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, n_seeds: int, **inputs: Any) -> io.NodeOutput:
        guided, rows = runs_of(inputs)
        seeds, title = range(inputs["seed"], inputs["seed"] + n_seeds), title_of(guided[0])
        entries = [entry for row in rows for entry in seed_entries(row, seeds)]
        node_id = cls.hidden.unique_id
        return result(run_sheet(guided, entries, (1.0,), node_id, lambda found: seeds_sheet(found, title)), cls)


NODES = [SeedsGrid]
