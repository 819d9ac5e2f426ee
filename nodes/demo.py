"""The embedded prior as ComfyUI models."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .bridge.demo import load_demo_models


class DemoModels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_DemoModels",
            display_name="Demo Models (no download)",
            category=sockets.DEMO,
            description=(
                "A tiny text-to-image model that ships with this pack. It knows 8 objects in 6 materials at 64 x 64 "
                "pixels and runs on any computer. Replace it by Load Checkpoint for free text and real images."
            ),
            inputs=[],
            outputs=[
                io.Model.Output(tooltip="The denoiser. An image of 64 pixels is an empty latent of 128 x 128."),
                io.Clip.Output(tooltip="The text encoder. Words outside its vocabulary are an error that lists it."),
                io.Vae.Output(tooltip="The autoencoder: 4 pixels per latent cell."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*load_demo_models())
