"""Geometry as a second prompt: a ControlNet that sees the depth or the normals of each view."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..tbsd_core.optim.hints import MAPS, ControlConfig
from . import sockets
from .base import Node
from .bridge.control import ViewControl
from .widgets import widgets, with_widgets


class ViewControlNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_ViewControl",
            display_name="View ControlNet",
            category=sockets.GUIDANCE,
            description="Shows a ControlNet the depth or the normals of each view, so that the model paints onto "
            "the existing geometry. For 3D scenes and meshes.",
            inputs=[
                io.ControlNet.Input(
                    "control_net",
                    tooltip="From Load ControlNet Model: a ControlNet for depth or normals that was trained for "
                    "your model, such as control_v11f1p_sd15_depth with Stable Diffusion 1.5.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(MAPS),
                    tooltip="The pictures that the ControlNet was trained on. depth: near is white, the background "
                    "black. normal: surface directions in the colours of normalbae.",
                ),
                *widgets(ControlConfig(), ("strength",)),
            ],
            outputs=[
                sockets.ControlSocket.Output(
                    display_name="control", tooltip="Connect to the control input of a guidance node."
                )
            ],
        )

    @classmethod
    def execute(cls, control_net, kind: str, strength: float) -> io.NodeOutput:
        config = replace(with_widgets(ControlConfig(), {"strength": strength}), kind=kind)
        return io.NodeOutput(ViewControl(control_net, config))


NODES = [ViewControlNode]
