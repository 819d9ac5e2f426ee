"""Scenes: what is optimised. A new one is a file with a config and an nn.Module, and one line in SCENES."""

from __future__ import annotations

from .base import AdaptiveScene, RenderOutput, Scene, Scene3D
from .encodings import ENCODINGS
from .gaussians import GaussianConfig, GaussianScene
from .image import ImageConfig, ImageScene
from .latent import LatentImageConfig, LatentImageScene
from .mesh_texture import MeshTextureConfig, MeshTextureScene
from .nerf import NeRFConfig, NeRFScene

SCENES: dict[str, tuple[type, type]] = {
    "image": (ImageScene, ImageConfig),
    "latent": (LatentImageScene, LatentImageConfig),
    "nerf": (NeRFScene, NeRFConfig),
    "mesh_texture": (MeshTextureScene, MeshTextureConfig),
    "gaussian": (GaussianScene, GaussianConfig),
}

__all__ = [
    "ENCODINGS",
    "SCENES",
    "AdaptiveScene",
    "GaussianConfig",
    "GaussianScene",
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
]
