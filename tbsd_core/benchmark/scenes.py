"""The scenes whose steps are measured, by name: all of them, and a NeRF for each encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..mesh import PlacementConfig, texture_scene
from ..sample_meshes import sample_mesh
from ..scenes import (
    GaussianConfig,
    GaussianScene,
    ImageConfig,
    ImageScene,
    LatentImageConfig,
    LatentImageScene,
    MeshTextureConfig,
    NeRFConfig,
    NeRFScene,
)
from ..scenes.base import Scene
from ..scenes.encodings import ENCODINGS

# levels as users of these encodings take them: 16 of Instant-NGP's, two of K-Planes'
RESOLUTIONS = {
    "dense": NeRFConfig().resolutions,
    "kplanes": (64, 128),
    "hash": tuple(round(16 * (1024 / 16) ** (i / 15)) for i in range(16)),
}


def nerf(encoding: str) -> Callable[[int, int], Scene]:
    config = replace(NeRFConfig(), encoding=encoding, resolutions=RESOLUTIONS[encoding])
    return lambda size, factor: NeRFScene(config)


def mesh_texture(size: int, factor: int) -> Scene:
    mesh = sample_mesh("house")
    config = MeshTextureConfig(n_vertices=len(mesh.vertices), n_faces=len(mesh.faces))
    return texture_scene(mesh, config, PlacementConfig(radius=None))


# (pixels of a picture, pixels per latent cell of the prior) to a new scene on the CPU
MEASURED: dict[str, Callable[[int, int], Scene]] = {
    "image": lambda size, factor: ImageScene(ImageConfig(size=size)),
    "latent": lambda size, factor: LatentImageScene(LatentImageConfig(size=size // factor)),
    "nerf": nerf("dense"),
    **{f"nerf {name}": nerf(name) for name in ENCODINGS if name != "dense"},
    "gaussian": lambda size, factor: GaussianScene(GaussianConfig()),
    "mesh_texture": mesh_texture,
}


def measured_scene(name: str, size: int, factor: int) -> Scene:
    """Build one of MEASURED. Raises ValueError for an unknown name."""
    if name not in MEASURED:
        raise ValueError(f"Unknown scene {name!r}; choose from {', '.join(MEASURED)}.")
    return MEASURED[name](size, factor)
