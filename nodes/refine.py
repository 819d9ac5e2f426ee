"""Coarse to fine: the result of a NeRF continues as a mesh."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.experiment.refine import MOST_NOISE, N_STEPS, SURFACE
from ..tbsd_core.optim import OptimConfig
from ..tbsd_core.scenes import MeshTextureConfig, Scene
from . import sockets
from .base import Node
from .bridge.config import config_of
from .bridge.mesh import extract
from .bridge.preview import check_packages, run_ui
from .bridge.queued import queued_by
from .bridge.refine import noise_of, painted_run, surface_of, to_refine
from .bridge.run import run
from .bridge.scenes import with_own_seeds
from .optimize import continue_input, encode_size_input, optim_of
from .sockets import GuidedModel
from .widgets import widgets, with_widgets


class RefineAsMesh(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        detail, *_ = widgets(MeshTextureConfig())
        return io.Schema(
            node_id="TBSD_RefineAsMesh",
            display_name="Refine as Mesh",
            category=sockets.OPTIMIZE,
            description="Cuts the surface out of an optimised NeRF and paints it further at the model's full size.",
            is_output_node=True,
            inputs=[
                sockets.GuidanceSocket.Input("guidance", tooltip="The guidance node that made the NeRF, or another."),
                sockets.SceneSocket.Input("scene", lazy=True, tooltip="The NeRF from Optimize 3D."),
                *widgets(OptimConfig(n_steps=N_STEPS), ("steps", "views_per_step", "size", "lr")),
                io.Float.Input(
                    "t_max",
                    default=MOST_NOISE,
                    min=0.05,
                    max=1.0,
                    step=0.01,
                    tooltip="Maximum noise on the pictures: how much may change. 0.3 polishes the colours of the "
                    "NeRF, 0.8 repaints them.",
                ),
                sockets.seed_input("Decides cameras, noise and timesteps. The same seed gives the same texture."),
                detail,
                *widgets(SURFACE, ("resolution", "faces", "texture_size")),
                sockets.CamerasSocket.Input(
                    "cameras", optional=True, tooltip="Where the cameras stand; all around if nothing is connected."
                ),
                encode_size_input("views"),
                continue_input(),
            ],
            outputs=[
                sockets.SceneSocket.Output(
                    display_name="scene", tooltip="The painted mesh as a scene, to render or to optimise further."
                ),
                io.Image.Output(display_name="views", tooltip="Views on one turn around it, from the front."),
                io.Mesh.Output(display_name="mesh", tooltip="The painted mesh with its texture. Connect to Save Mesh."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def check_lazy_status(cls, continue_run: str | None = None, **inputs: Any) -> list[str]:
        """A resumed run has its mesh: nothing waits for the NeRF."""
        return [] if continue_run else ["scene"]

    @classmethod
    def execute(
        cls, guidance: GuidedModel, scene: Scene | None = None, cameras=None, continue_run=None, **inputs: Any
    ) -> io.NodeOutput:
        check_packages()
        node_id, export = cls.hidden.unique_id, with_widgets(SURFACE, inputs)
        if continue_run:
            start = painted_run(continue_run)
        else:
            assert scene is not None  # check_lazy_status has asked for it
            start = surface_of(scene, export, with_widgets(MeshTextureConfig(shading="none"), inputs), node_id)
        optim = optim_of({**inputs, "timesteps": noise_of(guidance, inputs["t_max"])}, start, guidance)
        guided = to_refine(guidance)
        config = config_of(guided, start, cameras or CameraConfig(), optim, own_timesteps=True)
        if continue_run:
            config = with_own_seeds(config, start)
        result = run(guided, start, config, queued_by(cls), bool(continue_run))
        mesh, _ = extract(result.scene, export, node_id)
        return io.NodeOutput(result.scene, result.images, mesh, ui=run_ui(result, cls))


NODES = [RefineAsMesh]
