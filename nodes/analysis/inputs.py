"""Sockets, widgets and lists of numbers that the analysis nodes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io, ui

from ...tbsd_core.analysis.sheet import Sheet
from ...tbsd_core.cameras.sampling import CameraConfig
from ...tbsd_core.optim import OptimConfig
from ...tbsd_core.study import Entry
from .. import sockets
from ..bridge.analysis import make_entries
from ..bridge.files import to_image
from ..optimize import has_timesteps, optim_of, timestep_inputs, timesteps_input
from ..sockets import GuidedModel
from ..widgets import widgets

METHODS = 4  # guidance sockets of a node that compares


def guidance_inputs(tooltip: str) -> list[io.Input]:
    first = sockets.GuidanceSocket.Input("guidance", tooltip=tooltip)
    more = [
        sockets.GuidanceSocket.Input(
            f"guidance_{i}", optional=True, tooltip="One more method to compare, with the same model and VAE."
        )
        for i in range(2, METHODS + 1)
    ]
    return [first, *more]


def run_inputs() -> list[io.Input]:
    """A scene and the settings of its optimisation; settings that only objects need are a socket."""
    return [
        sockets.SceneSocket.Input(
            "scene", tooltip="The start of every run: a scene of pictures, a NeRF, splats or a mesh."
        ),
        *widgets(OptimConfig(), ("steps", "lr")),
        sockets.seed_input("Decides noise, timesteps and cameras. The same seed gives the same picture."),
    ]


def optional_inputs() -> list[io.Input]:
    return [
        *timestep_inputs(),
        timesteps_input(),
        sockets.CamerasSocket.Input(
            "cameras", optional=True, tooltip="For a 3D scene: where the cameras stand. All around if not connected."
        ),
        io.Int.Input(
            "views_per_step",
            optional=True,
            min=1,
            max=64,
            force_input=True,
            tooltip="For a 3D scene: pictures per step. 4 if nothing is connected.",
        ),
        io.Int.Input(
            "size",
            optional=True,
            min=16,
            max=1024,
            force_input=True,
            tooltip="For a 3D scene: pixels of a rendered picture. 64 if nothing is connected.",
        ),
    ]


def text_input(name: str, default: Sequence[object], tooltip: str) -> io.String.Input:
    return io.String.Input(name, default=", ".join(f"{v}" for v in default), tooltip=tooltip)


def outputs() -> list[io.Output]:
    return [
        io.Image.Output(display_name="image", tooltip="The labelled picture. Connect it to Save Image."),
        io.String.Output(display_name="numbers", tooltip="The numbers behind the picture, as JSON."),
    ]


def result(sheet: Sheet, node: type[io.ComfyNode]) -> io.NodeOutput:
    image = to_image(sheet.image[None])
    return io.NodeOutput(image, sheet.json(), ui=ui.PreviewImage(image, cls=node))


def words(text: str, name: str) -> list[str]:
    """The parts of a text like "0, 0.5, 1". Raises ValueError where there is none."""
    parts = [part for part in text.replace(",", " ").split() if part]
    if not parts:
        raise ValueError(f'{name} is empty. Write numbers separated by commas, such as "0.25, 0.5, 1".')
    return parts


def numbers(text: str, name: str) -> tuple[float, ...]:
    """The numbers of a text like "0, 0.5, 1". Raises ValueError naming the input."""
    try:
        return tuple(float(part) for part in words(text, name))
    except ValueError as error:
        raise ValueError(
            f'{name} must be numbers separated by commas, such as "0.25, 0.5, 1", got {text!r}.'
        ) from error


def runs_of(inputs: dict[str, Any]) -> tuple[list[GuidedModel], list[Entry]]:
    """The connected guidances, and a run of each from the scene."""
    names = ["guidance", *(f"guidance_{i}" for i in range(2, METHODS + 1))]
    guided = [inputs[name] for name in names if inputs.get(name) is not None]
    scene, optim = inputs["scene"], optim_of(inputs, inputs["scene"], guided[0])
    return guided, make_entries(guided, scene, inputs.get("cameras") or CameraConfig(), optim, has_timesteps(inputs))
