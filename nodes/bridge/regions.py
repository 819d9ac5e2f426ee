"""Regions of scenes, as nodes make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import orbit
from ...tbsd_core.regions import (
    COMBINE,
    Region,
    check_same,
    inverted,
    mask_region,
    material_region,
    part_region,
    pixel_region,
    preview,
    ready,
    seen_region,
    seen_splats,
)
from ...tbsd_core.scenes import GaussianScene, ImageScene, MeshTextureScene, Scene
from .autograd import optimization_mode
from .files import to_image
from .interop.cameras import Camera
from .render import device_copy

SIZE, VIEWS = 256, 4  # of the preview of an object
FIRST = Camera(0.0, 15.0, 3.0, 36.0)


def one_mask(mask: Tensor) -> Tensor:
    """[H, W] of a MASK. Raises ValueError for several, which would be several regions."""
    if mask.ndim == 3 and len(mask) != 1:
        raise ValueError(f"A region takes one mask, got {len(mask)}. Connect one of them, or add their regions.")
    return mask.reshape(mask.shape[-2:]).float().cpu()


def from_mask(scene: Scene, mask: Tensor, border: float) -> Region:
    """A mask in the pixels of a picture, or in the texture of a mesh.

    Raises:
        ValueError: another kind of scene, and as pixel_region and mask_region.
    """
    if isinstance(scene, ImageScene):
        return pixel_region(scene, one_mask(mask), border)
    if isinstance(scene, MeshTextureScene):
        return mask_region(scene, one_mask(mask), border)
    raise ValueError(
        f"A mask needs a picture or the texture of a mesh, got a {type(scene).__name__}. Use Region from View for "
        "splats; a latent picture has no pixels of its own, so leave out the VAE of Image Scene."
    )


def from_view(scene: Scene, camera: Camera, mask: Tensor | None, border: float) -> Region:
    """The parts of an object that a camera sees, inside a mask of its picture. Raises ValueError for any other
    scene."""
    inside = None if mask is None else one_mask(mask)
    if isinstance(scene, MeshTextureScene):
        return seen_region(scene, camera.batch(), inside, border)
    if isinstance(scene, GaussianScene):
        return seen_splats(device_copy(scene), camera.batch(), inside, border)
    raise ValueError(
        f"Region from View needs a Mesh Texture Scene or a Gaussian Scene, got a {type(scene).__name__}. Use Region "
        "from Mask for a picture; for a NeRF, extract a mesh first."
    )


def from_parts(scene: Scene, numbers: str, border: float) -> Region:
    """Connected parts of a mesh, by their numbers in a text. Raises ValueError for any other scene or text."""
    if not isinstance(scene, MeshTextureScene):
        raise ValueError(f"Only a Mesh Texture Scene has connected parts, got a {type(scene).__name__}.")
    try:
        chosen = [int(text) for text in numbers.replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"parts must be whole numbers such as 0, 2, got {numbers[:60]!r}.") from error
    return part_region(scene, chosen, border)


def from_materials(scene: Scene, names: str, border: float) -> Region:
    """Materials of a mesh, by names or numbers with commas between. Raises ValueError for any other scene or text."""
    if not isinstance(scene, MeshTextureScene):
        raise ValueError(f"Only a Mesh Texture Scene has materials, got a {type(scene).__name__}.")
    return material_region(scene, [name for text in names.split(",") if (name := text.strip())], border)


def finished(
    scene: Scene,
    make: Callable[[], Region],
    invert: bool,
    old: str,  # the colours that new ones are mixed with, a name in OLD
    combine: str,  # a name in COMBINE
    other: Region | None,  # to combine it with
    first: Camera = FIRST,  # of the preview
) -> tuple[Region, Tensor, Tensor]:
    """A region, its preview as IMAGE, and itself as MASK [1, H, W], or [1, 1, N] of splats."""
    with optimization_mode(), torch.no_grad():
        region = replace(make(), old=old)
        region = inverted(region) if invert else region
        region = region if other is None else COMBINE[combine](other, region)
        turn = orbit(VIEWS, first.elevation, first.distance, first.fov_y, first.azimuth)
        cameras = turn if scene.uses_cameras else orbit(scene.n_images)
        shown = device_copy(scene) if isinstance(scene, GaussianScene) else scene  # gsplat draws on the card alone
        pictures = preview(shown, region, cameras, SIZE)
    free = region.free.float()
    return region, to_image(pictures), free[None] if free.ndim == 2 else free[None, None]


def with_region(scene: Scene, region: Region | None, goes_on: bool) -> Scene:
    """The scene that a run begins with, which may change in the region alone; a resumed run keeps its own region.

    Raises:
        ValueError: the region belongs to another scene, is empty, or is not the region of the run that is resumed.
    """
    with optimization_mode():
        if goes_on:
            if region is not None:
                check_same(scene, region)
            return scene
        return ready(scene, region)
