"""Scenes: what is optimised. A new one is a file with a config and an nn.Module, and one line in SCENES."""

from __future__ import annotations

from dataclasses import replace

from .base import AdaptiveScene, RenderOutput, Scene, Scene3D
from .encodings import ENCODINGS
from .gaussians import GaussianConfig, GaussianScene
from .image import ImageConfig, ImageScene
from .latent import LatentImageConfig, LatentImageScene
from .mesh_texture import MeshTextureConfig, MeshTextureScene
from .nerf import NeRFConfig, NeRFScene
from .spec import Given, SceneSpec

SCENES: dict[str, SceneSpec] = {
    spec.name: spec
    for spec in (
        SceneSpec(
            name="image",
            label="Image",
            scene=ImageScene,
            config=ImageConfig,
            summary="free pixels",
            uses_cameras=False,
            fit=lambda config, given: replace(config, size=given.size),
        ),
        SceneSpec(
            name="latent",
            label="Image",
            scene=LatentImageScene,
            config=LatentImageConfig,
            summary="free latents",
            uses_cameras=False,
            fit=lambda config, given: replace(
                config, channels=given.latent_channels, size=given.size // given.spatial_factor
            ),
        ),
        SceneSpec(name="nerf", label="NeRF", scene=NeRFScene, config=NeRFConfig, summary="a volume"),
        SceneSpec(
            name="mesh_texture",
            label="MeshTexture",
            scene=MeshTextureScene,
            config=MeshTextureConfig,
            summary="the colours of a given mesh",
            paints_mesh=True,
            fit=lambda config, given: replace(
                config,
                n_vertices=len(given.mesh.vertices),
                n_faces=len(given.mesh.faces),
                n_uvs=0 if given.mesh.uvs is None else len(given.mesh.uvs),
            ),
        ),
        SceneSpec(
            name="gaussian", label="Gaussian", scene=GaussianScene, config=GaussianConfig, summary="Gaussian splats"
        ),
    )
}

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
