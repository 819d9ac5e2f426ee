"""What a configuration names, made or read: the prior, the mesh to paint, the scene before its first step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..media import read_square
from ..mesh import Mesh, texture_scene
from ..mesh.load import load_mesh
from ..mesh.paint import start_from_colors
from ..priors.base import TextPrior
from ..priors.diffusers import load_diffusers_prior
from ..priors.small_world import load_prior
from ..sample_images import sample_image
from ..sample_meshes import sample_mesh
from ..scenes import SCENES, Scene
from ..scenes.picture_start import scene_of_pictures
from .config import COMFYUI, DIFFUSERS, DTYPES, ExperimentConfig, MeshInput, is_demo

SAMPLE = "sample:"


def read_prior(config: ExperimentConfig) -> TextPrior:
    """The prior of a run. Nothing is downloaded here: `default_config` has already found the pipeline.

    Raises:
        ValueError: it is a model of ComfyUI, which only a graph there can load.
    """
    if is_demo(config):
        return load_prior(config.prior, config.device)
    if config.prior.startswith(COMFYUI):
        raise ValueError(
            f"This run is on a model that ComfyUI has loaded ({config.prior.removeprefix(COMFYUI)}). Go on with it "
            "there, or name the same model: --prior diffusers:PATH."
        )
    return load_diffusers_prior(config.prior.removeprefix(DIFFUSERS), config.device, DTYPES[config.dtype])


def read_mesh(source: MeshInput) -> Mesh:
    """The mesh to paint.

    Raises:
        ValueError: none is named, or it cannot be used; see mesh.load.
        FileNotFoundError: there is no such file.
    """
    if not source.file:
        raise ValueError("Say which mesh to paint: --mesh FILE, or --mesh sample:house to try it.")
    if source.file.startswith(SAMPLE):
        *material, shape = source.file.removeprefix(SAMPLE).split()
        return sample_mesh(shape, material=" ".join(material))
    return load_mesh(Path(source.file), colors=source.keep_colors).mesh


def read_image(config: ExperimentConfig) -> Tensor:
    """The picture [n_images, 3, size, size] in [0, 1] that a scene starts from, cut to a square around its middle.

    Raises:
        ValueError: the scene is not one of pixels, or the file holds no picture.
        FileNotFoundError: there is no such file.
    """
    file, size = config.image.file, getattr(config.scene, "size", 0)
    if config.scene_name != "image":
        raise ValueError(f"A picture is the start of an image scene, and this is {config.scene_name}: --scene image.")
    picture = sample_image(file.removeprefix(SAMPLE), size) if file.startswith(SAMPLE) else read_square(file, size)
    return picture[None].expand(config.scene.n_images, -1, -1, -1).contiguous()


def make_scene(config: ExperimentConfig) -> Scene:
    """The scene of a run before its first step, on the CPU. Raises as `read_mesh` for one that paints a mesh."""
    spec = SCENES[config.scene_name]
    if config.image.file:
        return scene_of_pictures(read_image(config), config.scene)
    if not spec.paints_mesh:
        return spec.scene(config.scene)
    mesh, placement = read_mesh(config.mesh), config.mesh.placement
    if config.mesh.file.startswith(SAMPLE):  # they stand where the truth does
        placement = replace(placement, radius=None)
    scene = texture_scene(mesh, config.scene, placement)
    if config.mesh.keep_colors:
        start_from_colors(scene, mesh)
    return scene
