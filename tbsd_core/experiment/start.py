"""Makes or reads the things that a configuration names: the prior, the mesh to paint, the scene before its first
step."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..media import read_cutout, read_mask, read_square
from ..mesh import Mesh, texture_scene
from ..mesh.load import load_mesh
from ..mesh.paint import start_from_colors
from ..mesh.tint import tinted
from ..optim import Reference, framed
from ..priors.base import TextPrior
from ..priors.diffusers import load_diffusers_prior
from ..priors.small_world import load_prior
from ..regions import COMBINE, Region, inverted, mask_region, material_region, part_region, ready, seen_region
from ..sample_images import sample_image
from ..sample_textures import named_sample
from ..scenes import SCENES, MeshTextureScene, Scene
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
            f"This run uses a model that ComfyUI has loaded ({config.prior.removeprefix(COMFYUI)}). Resume it "
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
        return named_sample(source.file.removeprefix(SAMPLE))
    return load_mesh(Path(source.file), colors=source.keep_colors).mesh


def read_image(config: ExperimentConfig) -> Tensor:
    """The picture [n_images, 3, size, size] in [0, 1] that a scene starts from, cut to a square around its middle.

    Raises:
        ValueError: the scene is not one of pixels, or the file holds no picture.
        FileNotFoundError: there is no such file.
    """
    file, size = config.image.file, getattr(config.scene, "size", 0)
    if config.scene_name != "image":
        raise ValueError(f"Only an image scene starts from a picture, got {config.scene_name}: add --scene image.")
    picture = sample_image(file.removeprefix(SAMPLE), size) if file.startswith(SAMPLE) else read_square(file, size)
    return picture[None].expand(config.scene.n_images, -1, -1, -1).contiguous()


def read_reference(config: ExperimentConfig) -> Reference | None:
    """The picture that the scene keeps to from the front; None where no file is named.

    Raises:
        ValueError: the file holds no picture, or no object on a transparent background.
        FileNotFoundError: there is no such file.
    """
    file = config.reference.file
    return framed(*read_cutout(file), config.reference) if file else None


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
    mesh = tinted(mesh) if config.mesh.keep_colors else mesh
    scene = texture_scene(mesh, config.scene, placement)
    if config.mesh.keep_colors:
        start_from_colors(scene, mesh)
    elif config.scene.pin_weight:
        raise ValueError("pin_weight holds the colours of a mesh, as --task sharpen does: add --keep-colors.")
    return ready(scene, read_region(config, scene))


def read_region(config: ExperimentConfig, scene: MeshTextureScene) -> Region | None:
    """Where a run may change the mesh; None: everywhere.

    Raises:
        ValueError: the mesh does not keep its colours, or the region cannot be made; the message says why.
        FileNotFoundError: there is no such mask.
    """
    asked = config.region
    if not asked.is_asked_for:
        return None
    if not config.mesh.keep_colors:
        raise ValueError("Locking a part of the mesh needs its own colours: add --keep-colors.")
    found: list[Region] = []
    if asked.mask:
        found.append(mask_region(scene, read_mask(Path(asked.mask)), asked.border))
    if asked.keep_views:
        azimuth, elevation = torch.tensor(asked.keep_views).T
        ones = torch.ones(len(asked.keep_views))
        cameras = Cameras(azimuth, elevation, config.cameras.distance * ones, config.cameras.fov_y * ones)
        found.append(inverted(seen_region(scene, cameras, border=asked.border)))
    if asked.parts:
        found.append(part_region(scene, asked.parts, asked.border))
    if asked.materials:
        found.append(material_region(scene, asked.materials, asked.border))
    return replace(reduce(COMBINE["overlap"], found), old=asked.old)
