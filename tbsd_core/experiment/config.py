"""Everything that determines a run, as one frozen value and as plain data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import torch

from ..cameras.sampling import CameraConfig
from ..configuration import from_plain, to_plain
from ..guidance import METHODS
from ..mesh import PlacementConfig
from ..optim import OptimConfig, ReferenceConfig
from ..optim.hints import ControlConfig
from ..prompts import PromptConfig
from ..regions import BORDER, LOCKED, OLD
from ..scenes import SCENES
from ..settings import check_settings, setting

DIFFUSERS = "diffusers:"  # a prior that begins so names a pipeline
COMFYUI = "comfyui:"  # and so the family of a model that a graph has loaded
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class MeshInput:
    """The mesh that a scene paints."""

    file: str = ""  # a GLB, OBJ, PLY or STL file, or "sample:" and words of the small world: house, brick house
    keep_colors: bool = False  # start from the colours it has instead of grey
    placement: PlacementConfig = field(default_factory=PlacementConfig)


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """The picture that an image scene starts from."""

    file: str = ""  # a picture file, or "sample:" and the words of an object such as "brick house"; "" for noise


@dataclass(frozen=True, kw_only=True)
class RegionInput:
    """Where a run may change the texture of a mesh. All given conditions must hold; without any, it may change
    everywhere."""

    mask: str = ""  # a picture of the texture's size, white where it may change
    keep_views: tuple[tuple[float, ...], ...] = ()  # azimuth and elevation of views in which nothing may change
    parts: tuple[int, ...] = ()  # connected parts that may change, 0 is the largest
    materials: tuple[str, ...] = ()  # materials of a GLB that may change, by name or number
    border: float = setting(BORDER, meaning="width of the blend between old and new, in texels", at_least=0)
    old: str = setting(LOCKED, meaning="the colours that new ones blend with there", choices=OLD)

    def __post_init__(self) -> None:
        check_settings(self)
        if any(len(view) != 2 for view in self.keep_views):
            raise ValueError(f"keep_views must be pairs of azimuth and elevation, got {self.keep_views}.")

    @property
    def is_asked_for(self) -> bool:
        return bool(self.mask or self.keep_views or self.parts or self.materials)


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """Everything that determines a run. `guidance_name` and `scene_name` decide the types of the two groups."""

    prompt: PromptConfig
    guidance_name: str
    guidance: Any  # of METHODS[guidance_name].config
    scene_name: str
    scene: Any  # of SCENES[scene_name].config
    cameras: CameraConfig
    optim: OptimConfig
    mesh: MeshInput = field(default_factory=MeshInput)  # for a scene that paints one
    prior: str = "learned"  # a name in PRIORS, diffusers: and the path of a pipeline, or comfyui: and a family
    device: str = "cpu"  # of the prior and the scene
    dtype: str = "float32"  # of the networks of a pipeline, a name in DTYPES
    control: ControlConfig = field(default_factory=ControlConfig)  # depth or normals of the views, for a ControlNet
    image: ImageInput = field(default_factory=ImageInput)  # for a scene of a picture
    region: RegionInput = field(default_factory=RegionInput)  # where a mesh may change
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)  # a picture that the front keeps
    rehearsal_noise: float = 0.0  # white noise on the gradient in multiples of its RMS; see guidance.rehearsal

    def __post_init__(self) -> None:
        if not 0 <= self.rehearsal_noise < math.inf:
            raise ValueError(f"rehearsal_noise must be 0 or more, got {self.rehearsal_noise}.")


def is_demo(config: ExperimentConfig) -> bool:
    """Whether the prior is one over the small world, with a vocabulary and ground truth."""
    return not config.prior.startswith((DIFFUSERS, COMFYUI))


def plain_config(config: ExperimentConfig) -> dict[str, Any]:
    """As JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(to_plain(config)))


def normalised(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the fields that later versions added; an incomplete one stays as it is."""
    try:
        return plain_config(config_from_plain(stored))
    except ValueError:
        return stored


def config_from_plain(stored: Any) -> ExperimentConfig:
    """Rebuild the configuration that a file or run.json holds. Raises ValueError naming what does not fit."""
    if not isinstance(stored, dict):
        raise ValueError(f"The stored configuration must be an object of settings, got {type(stored).__name__}.")
    later = {
        "device": "cpu",
        "dtype": "float32",
        "mesh": {},
        "rehearsal_noise": 0.0,
        "control": {},
        "region": {},
        "image": {},
        "reference": {},
    }
    stored = {**later, **stored}
    for name in ("guidance_name", "scene_name", "prior", "device", "dtype"):
        if not isinstance(stored.get(name, ""), str):
            raise ValueError(f"The stored configuration's {name} must be a name, got {stored[name]!r}.")
    noise = stored["rehearsal_noise"]
    if not isinstance(noise, (int, float)):
        raise ValueError(f"The stored configuration's rehearsal_noise must be a number, got {noise!r}.")
    optim = stored.get("optim")
    if isinstance(optim, dict) and "normalize_grad" in optim:  # a yes or no in release 0.1
        optim = {"normalize_by": "rms" if optim["normalize_grad"] else "none"} | optim
        del optim["normalize_grad"]
        stored["optim"] = optim
    mesh = stored["mesh"]
    if isinstance(mesh, dict) and "place" in mesh:  # its name in release 0.1
        mesh = {"placement" if k == "place" else k: v for k, v in mesh.items()}
    try:
        return ExperimentConfig(
            prompt=from_plain(PromptConfig, stored["prompt"]),
            guidance_name=stored["guidance_name"],
            guidance=from_plain(METHODS[stored["guidance_name"]].config, stored["guidance"]),
            scene_name=stored["scene_name"],
            scene=from_plain(SCENES[stored["scene_name"]].config, stored["scene"]),
            cameras=from_plain(CameraConfig, stored["cameras"]),
            optim=from_plain(OptimConfig, stored["optim"]),
            prior=stored["prior"],
            mesh=from_plain(MeshInput, mesh),
            device=stored["device"],
            dtype=stored["dtype"],
            control=from_plain(ControlConfig, stored["control"]),
            image=from_plain(ImageInput, stored["image"]),
            region=from_plain(RegionInput, stored["region"]),
            reference=from_plain(ReferenceConfig, stored["reference"]),
            rehearsal_noise=float(noise),
        )
    except KeyError as error:
        raise ValueError(f"The stored configuration lacks or does not know {error}.") from error
