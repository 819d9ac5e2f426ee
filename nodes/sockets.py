"""The pack's own socket types and menu categories, and the values on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from comfy_api.latest import io

from ..tbsd_core.guidance import METHODS, Guidance
from ..tbsd_core.scenes import Scene
from ..tbsd_core.settings import Setting
from .bridge.control import ViewControl
from .bridge.prompts import Prompts

PromptsSocket = io.Custom("TBSD_PROMPTS")  # bridge.prompts.Prompts
GuidanceSocket = io.Custom("TBSD_GUIDANCE")  # GuidedModel
SceneSocket = io.Custom("TBSD_SCENE")  # a core scene; nodes copy it before they change it
CamerasSocket = io.Custom("TBSD_CAMERAS")  # tbsd_core.cameras.sampling.CameraConfig
TimestepsSocket = io.Custom("TBSD_TIMESTEPS")  # tbsd_core.guidance.TimestepConfig
SettingsSocket = io.Custom("TBSD_SETTINGS")  # Recommended
RegionSocket = io.Custom("TBSD_REGION")  # tbsd_core.regions.Region
ControlSocket = io.Custom("TBSD_CONTROL")  # bridge.control.ViewControl
# ComfyUI's own, by their names: their classes came later than the oldest host (bridge.compat). An output of several
# kinds goes where any of them is taken, FILE_3D among them, so that older graphs stay connected
SplatSocket = io.Custom("SPLAT")
SplatFileInput = io.Custom("FILE_3D_SPLAT_ANY,FILE_3D_PLY,FILE_3D_SPLAT,FILE_3D_SPZ,FILE_3D_KSPLAT,FILE_3D")
SplatFileOutput = io.Custom("FILE_3D_PLY,FILE_3D_SPLAT_ANY,FILE_3D")
MeshFileInput = io.Custom("FILE_3D_GLB,FILE_3D_OBJ,FILE_3D_PLY,FILE_3D_STL,FILE_3D")
MeshFileOutput = io.Custom("FILE_3D_GLB,FILE_3D_OBJ,FILE_3D_PLY,FILE_3D")
CameraInfoSocket = io.Custom("LOAD3D_CAMERA")

PROMPTS, GUIDANCE, SCENE, OPTIMIZE, OUTPUT, DEMO = (
    f"TBSD/{name}" for name in ("prompts", "guidance", "scene", "optimize", "output", "demo")
)

ANALYSIS = "TBSD/analysis"

SEED_MAX = 2**53 - 1  # the largest whole number that a browser holds exactly


@dataclass(frozen=True)
class GuidedModel:
    """Everything that says where an optimisation should go."""

    model: Any  # comfy ModelPatcher
    vae: Any  # comfy VAE
    prompts: Prompts
    guidance: Guidance
    preset: Mapping[str, Setting] | None = None  # the preset of the connected settings (tbsd_core.presets.preset)
    control: ViewControl | None = None  # shown the geometry of the views
    source: Scene | None = None  # the reference of a method that edits; None: the scene that it starts from


@dataclass(frozen=True)
class Recommended:
    """The settings that a run of a method begins with.

    Args:
        method: its name.
        preset: of tbsd_core.presets.preset, for the family of a model and a scene.
        scene: the name of that scene.
    """

    method: str
    preset: Mapping[str, Setting]
    scene: str

    def check_method(self, method: str) -> None:
        """Raise ValueError, saying what to do, if these are the settings of another method."""
        if self.method != method:
            given, needed = METHODS[self.method].label, METHODS[method].label
            raise ValueError(
                f"settings are for {given}, expected settings for {needed}: choose {method!r} as the method of "
                f"Recommended Settings, or connect its settings to {given} Guidance."
            )

    def check_scene(self, scene: str) -> None:
        """Raise ValueError, saying what to do, if these are the settings of another scene."""
        if self.scene != scene:
            raise ValueError(
                f"settings are for the scene {self.scene!r}, expected settings for {scene!r}: choose {scene!r} as "
                "the scene of Recommended Settings."
            )


def default(config: type, name: str) -> Any:
    """The default of a config field: widgets show it, so that it is written in one place."""
    field = next(f for f in fields(config) if f.name == name)
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def camera_info_output(tooltip: str) -> io.Output:
    return CameraInfoSocket.Output(
        display_name="camera_info", tooltip=f"{tooltip}, for Render Splat, Render Mesh and the 3D viewers."
    )


def scene_settings_input() -> io.Input:
    return SettingsSocket.Input(
        "settings",
        optional=True,
        tooltip="From Recommended Settings for this scene: values that suit the model. They override the widgets "
        "of this node; all other widgets still apply.",
    )


def seed_input(tooltip: str) -> io.Int.Input:
    """A seed widget that can be randomised after each run."""
    return io.Int.Input("seed", default=0, min=0, max=SEED_MAX, control_after_generate=True, tooltip=tooltip)
