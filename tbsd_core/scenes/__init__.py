"""Scenes: what is optimised. A new one is a file that ends with a SceneSpec named SPEC, and its line in MODULES."""

from __future__ import annotations

from importlib import import_module

from .base import AdaptiveScene, RenderOutput, Scene, Scene3D
from .encodings import ENCODINGS
from .gaussians import GaussianConfig, GaussianScene
from .image import ImageConfig, ImageScene
from .latent import LatentImageConfig, LatentImageScene
from .mesh_texture import MeshTextureConfig, MeshTextureScene
from .nerf import NeRFConfig, NeRFScene
from .spec import Given, SceneSpec

MODULES = (
    "image",
    "latent",
    "nerf",
    "mesh_texture",
    "gaussians",
)
_SPECS: list[SceneSpec] = [import_module(f".{module}", __name__).SPEC for module in MODULES]
SCENES: dict[str, SceneSpec] = {spec.name: spec for spec in _SPECS}

__all__ = [
    "ENCODINGS",
    "SCENES",
    "AdaptiveScene",
    "GaussianConfig",
    "GaussianScene",
    "Given",
    "ImageConfig",
    "ImageScene",
    "LatentImageConfig",
    "LatentImageScene",
    "MeshTextureConfig",
    "MeshTextureScene",
    "NeRFConfig",
    "NeRFScene",
    "RenderOutput",
    "Scene",
    "Scene3D",
    "SceneSpec",
]
