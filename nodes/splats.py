"""Gaussian splats: the scene, and its file."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.renderer.splatting import BACKENDS
from ..tbsd_core.scenes import GaussianConfig, GaussianScene
from . import sockets
from .base import Node, problem
from .bridge.autograd import optimization_mode
from .bridge.compat import file_value
from .bridge.files import inside_output, new_output
from .bridge.splats import save
from .sockets import default


class GaussianSceneNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_GaussianScene",
            display_name="Gaussian Scene",
            category=sockets.SCENE,
            description="A 3D object made of coloured Gaussians (splats), a faint grey ball at first.",
            inputs=[
                io.Int.Input(
                    "n_gaussians",
                    default=default(GaussianConfig, "n_gaussians"),
                    min=100,
                    max=1_000_000,
                    tooltip="How many. It stays the same: faded ones move to where more are needed. Some thousand on "
                    "a CPU, 50000 and more on a GPU with gsplat.",
                ),
                io.Int.Input(
                    "relocate_every",
                    default=default(GaussianConfig, "relocate_every"),
                    min=0,
                    max=1000,
                    tooltip="Steps between moves of faded Gaussians to opaque places. 0 never moves them.",
                ),
                io.Combo.Input(
                    "backend",
                    options=["auto", *BACKENDS],
                    default=default(GaussianConfig, "backend"),
                    tooltip="What draws them. auto: gsplat on a CUDA GPU where it is installed, else plain PyTorch.",
                ),
                sockets.seed_input("The points that it starts from."),
            ],
            outputs=[
                sockets.SceneSocket.Output(display_name="scene", tooltip="Connect to Optimize 3D or Render Views.")
            ],
        )

    @classmethod
    def execute(cls, n_gaussians: int, relocate_every: int, backend: str, seed: int) -> io.NodeOutput:
        config = GaussianConfig(n_gaussians=n_gaussians, relocate_every=relocate_every, backend=backend, seed=seed)
        with optimization_mode():
            return io.NodeOutput(GaussianScene(config))


class SaveSplats(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_SaveSplats",
            display_name="Save Splats",
            category=sockets.OUTPUT,
            description="Writes a Gaussian Scene as a .ply that splat viewers open.",
            is_output_node=True,
            inputs=[
                sockets.SceneSocket.Input("scene", tooltip="An optimised Gaussian Scene."),
                io.String.Input(
                    "filename_prefix", default="tbsd/splats", tooltip="Folder and name inside the output folder."
                ),
            ],
            outputs=[
                io.String.Output(display_name="splat_file", tooltip="The file inside the output folder."),
                sockets.File3DSocket.Output(
                    display_name="file_3d",
                    tooltip="The file itself, for nodes that take 3D files. Before ComfyUI 0.12.1, which has no such "
                    "type, the file's path.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        return problem(cls, inside_output, filename_prefix=filename_prefix)

    @classmethod
    def execute(cls, scene, filename_prefix: str) -> io.NodeOutput:
        path, relative = new_output(filename_prefix, ".ply")
        save(scene, path)
        return io.NodeOutput(relative, file_value(path), ui={"text": [relative]})
