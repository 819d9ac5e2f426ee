"""The scenes whose steps are measured, by name: all of them, and a NeRF for each encoding."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

from ..cameras.sampling import CameraConfig
from ..experiment import Experiment, ExperimentConfig
from ..guidance import find_method
from ..guidance.base import has_source
from ..mesh import PlacementConfig, texture_scene
from ..optim import OptimConfig
from ..priors.base import TextPrior
from ..prompts import PromptConfig
from ..sample_meshes import sample_mesh
from ..scenes import (
    SCENES,
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


def measured_experiment(
    name: str,  # of MEASURED
    method: str,
    prior: TextPrior,
    picture_size: int,  # pixels of a picture
    optim: OptimConfig,
    device: str,
) -> Experiment:
    """A run of a method with its defaults on one of MEASURED; one that edits begins with its source."""
    scene = measured_scene(name, picture_size, prior.spatial_factor).to(device)
    kind = next(kind for kind, spec in SCENES.items() if type(scene) is spec.scene)
    guidance = find_method(method).config()
    if (kind, method) == ("latent", "hifa"):  # it has no pixels to compare
        guidance = replace(guidance, pixel_scale=0.0)
    config = ExperimentConfig(
        prompt=PromptConfig(prompt="a brick house", source="a wooden house"),
        guidance_name=method,
        guidance=guidance,
        scene_name=kind,
        scene=scene.config,
        cameras=CameraConfig(),
        optim=optim,
        device=device,
    )
    edits = has_source(find_method(method).method(guidance))
    return Experiment(config, prior, scene=scene, source=deepcopy(scene) if edits else None)
