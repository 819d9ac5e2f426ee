"""Pictures the other way round."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .base import Node


class Mirror(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_Mirror",
            display_name="Mirror",
            category=sockets.OUTPUT,
            description="Turns pictures left to right.",
            inputs=[io.Image.Input("images", tooltip="Any pictures.")],
            outputs=[io.Image.Output(display_name="images", tooltip="The same, mirrored.")],
        )

    @classmethod
    def execute(cls, images) -> io.NodeOutput:
        return io.NodeOutput(images.flip(2))


NODES = [Mirror]
