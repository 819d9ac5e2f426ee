"""Where to begin with a model: settings that were published or measured, each with its source."""

from __future__ import annotations

from comfy_api.latest import io

from ..tbsd_core.cameras.sampling import CameraConfig
from ..tbsd_core.card_presets import MEMORIES
from ..tbsd_core.guidance import METHODS, default_config
from ..tbsd_core.optim import OptimConfig
from ..tbsd_core.presets import SCENES, describe, preset, with_settings
from ..tbsd_core.tasks import NEW, TASKS
from . import sockets
from .base import Node
from .bridge.family import card_memory, model_family
from .sockets import Recommended


class RecommendedSettings(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TBSD_RecommendedSettings",
            display_name="Recommended Settings",
            category=sockets.OPTIMIZE,
            description="Looks at the model and gives the settings to begin with, and where each of them comes from.",
            inputs=[
                io.Model.Input("model", tooltip="The model that guides: its family decides sizes and scales."),
                io.Combo.Input(
                    "method", options=list(METHODS), default="tbsd", tooltip="The method of the guidance node."
                ),
                io.Combo.Input(
                    "scene",
                    options=list(SCENES),
                    default="image",
                    tooltip="image: pixels; latent: an Image Scene with a VAE; nerf, gaussian: a scene of that name; "
                    "mesh_texture: the colours of a mesh.",
                ),
                io.Combo.Input(
                    "memory",
                    options=["auto", *map(str, MEMORIES)],
                    default="auto",
                    optional=True,
                    tooltip="GB of the graphics card that the settings must fit. auto: of the card at hand. Less is "
                    "for a card that others use, too.",
                ),
                io.Combo.Input(
                    "task",
                    options=list(TASKS),
                    default=NEW,
                    optional=True,
                    tooltip="What the run is for. "
                    + "; ".join(f"{name}: {task.summary}" for name, task in TASKS.items())
                    + ".",
                ),
            ],
            outputs=[
                io.Float.Output(
                    display_name="guidance_scale", tooltip="For the guidance node; 1 for a method that has none."
                ),
                io.Float.Output(display_name="lr", tooltip="For Optimize Image and Optimize 3D."),
                io.Int.Output(display_name="steps", tooltip="For Optimize Image and Optimize 3D."),
                io.Int.Output(display_name="size", tooltip="For Image Scene and Optimize 3D: pixels of a picture."),
                io.Int.Output(
                    display_name="encode_size",
                    tooltip="For Optimize 3D: pixels to which the views are enlarged for the model; 0 for none.",
                ),
                io.Float.Output(display_name="t_min", tooltip="For the optimizers: least noise, 0 to 1."),
                io.Float.Output(display_name="t_max", tooltip="For the optimizers: most noise at the start."),
                io.Float.Output(display_name="t_max_end", tooltip="For the optimizers: most noise at the end."),
                io.String.Output(display_name="text", tooltip="Every value with its source."),
                sockets.TimestepsSocket.Output(
                    display_name="timesteps",
                    tooltip="For the optimizers, in the place of the three numbers: also how the noise falls.",
                ),
                sockets.SettingsSocket.Output(
                    display_name="settings",
                    tooltip="All of the method's settings in one, such as its balancer and its schedule: for the "
                    "guidance node of the method, for Target Negative Prompt, and for the node of the scene.",
                ),
                sockets.CamerasSocket.Output(
                    display_name="cameras",
                    tooltip="For Optimize 3D: where the cameras stand for this model and scene.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, method: str, scene: str, memory: str = "auto", task: str = NEW) -> io.NodeOutput:
        family, note = model_family(model)
        card = card_memory(model) if memory == "auto" else int(memory)
        found = preset(family, scene, method, card, task)
        optim = with_settings(OptimConfig(), "optim", found)
        guidance = with_settings(default_config(method), "guidance", found)
        times = optim.timesteps
        return io.NodeOutput(
            getattr(guidance, "guidance_scale", 1.0),
            optim.lr,
            optim.n_steps,
            optim.size,
            optim.encode_size or 0,
            times.t_min,
            times.t_max,
            times.t_max_end,
            "\n".join(filter(None, (note, describe(family, scene, method, card, task)))),
            times,
            Recommended(method, found, scene),
            with_settings(CameraConfig(), "cameras", found),
        )


NODES = [RecommendedSettings]
