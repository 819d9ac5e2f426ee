"""Methods in the plane of the shape and the texture objective."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...tbsd_core.analysis.path import PathConfig
from .. import sockets
from ..base import Node
from ..bridge.analysis import run_paths, title_of
from ..sockets import default
from ..widgets import widgets
from .inputs import guidance_inputs, numbers, optional_inputs, outputs, result, run_inputs, runs_of, text_input


class ObjectivePathNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ObjectivePath",
            display_name="Objective Path",
            category=sockets.ANALYSIS,
            description="Runs methods from the same start and draws their paths between shape and texture, with "
            "the directions that a balance of the two could reach.",
            is_output_node=True,
            inputs=[
                *guidance_inputs("A method. Its prompts need a target negative (TNP)."),
                *run_inputs(),
                *widgets(PathConfig(), ("every",)),
                text_input(
                    "noise_levels",
                    default(PathConfig, "t"),
                    "Noise levels at which the objectives are measured, 0 to 1.",
                ),
                *widgets(PathConfig(), ("n_noises",)),
                *optional_inputs(),
            ],
            outputs=outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, every: int, noise_levels: str, n_noises: int, **inputs: Any) -> io.NodeOutput:
        guided, entries = runs_of(inputs)
        t = numbers(noise_levels, "noise_levels")
        config = PathConfig(every=every, t=t, n_noises=n_noises, seed=inputs["seed"])
        return result(run_paths(guided, entries, config, cls.hidden.unique_id, title_of(guided[0])), cls)


NODES = [ObjectivePathNode]
