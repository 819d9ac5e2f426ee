"""Which noise levels a run looks at, where the three numbers of the optimizers are not enough."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.guidance import TimestepConfig
from ..tbsd_core.guidance.timesteps import ANNEALINGS, DRAWS
from . import sockets
from .base import Node, problem
from .sockets import default


def part_input(name: str, tooltip: str) -> io.Float.Input:
    value = default(TimestepConfig, name)
    return io.Float.Input(name, default=value, min=0.0, max=1.0, step=0.01, round=False, tooltip=tooltip)


class TimestepsNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Timesteps",
            display_name="Timesteps",
            category=sockets.OPTIMIZE,
            description="Which noise levels a run looks at: drawn from a range, or falling over the run as in HiFA and "
            "SDI.",
            inputs=[
                part_input("t_min", "Least noise on the pictures, as a part of the model's range."),
                part_input("t_max", "Most noise at the start."),
                part_input("t_max_end", "Most noise at the end: late steps refine."),
                part_input("anneal_end", "When the most noise has come down to that, as a part of the run."),
                io.Combo.Input(
                    "anneal",
                    options=list(ANNEALINGS),
                    default=default(TimestepConfig, "anneal"),
                    tooltip="How it comes down: evenly, or fast at first (sqrt, as in HiFA).",
                ),
                io.Combo.Input(
                    "draw",
                    options=list(DRAWS),
                    default=default(TimestepConfig, "draw"),
                    tooltip="uniform: any level between least and most noise. highest: always the most noise, which "
                    "HiFA and SDI are made for.",
                ),
            ],
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
    def execute(cls, t_min, t_max, t_max_end, anneal_end, anneal, draw) -> io.NodeOutput:
        return io.NodeOutput(
            TimestepConfig(
                t_min=t_min, t_max=t_max, t_max_end=t_max_end, anneal_end=anneal_end, anneal=anneal, draw=draw
            )
        )


NODES = [TimestepsNode]
