"""The noise levels that a run looks at, if the three numbers of the Optimize nodes are not enough."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.guidance import TimestepConfig
from . import sockets
from .base import Node, problem
from .widgets import widgets, with_widgets


class TimestepsNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Timesteps",
            display_name="Timesteps",
            category=sockets.OPTIMIZE,
            description="The noise levels of a run: drawn from a range, or falling over the run as in HiFA and SDI.",
            inputs=widgets(TimestepConfig()),
            outputs=[
                sockets.TimestepsSocket.Output(
                    display_name="timesteps", tooltip="Connect to Optimize 3D or Optimize Image."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, t_min=None, t_max=None, t_max_end=None) -> bool | str:
        return problem(cls, TimestepConfig, t_min=t_min, t_max=t_max, t_max_end=t_max_end)

    @classmethod
    def execute(cls, **values: float | str) -> io.NodeOutput:
        return io.NodeOutput(with_widgets(TimestepConfig(), values))


NODES = [TimestepsNode]
