"""A scene of which a run may change a part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from ..mesh.bake import paint_texels
from ..mesh.mixed import POINTS_AT_ONCE, mixed_texture
from ..mesh.paint import start_from_colors
from ..mesh.texels import nearest_known
from ..scenes import GaussianScene, ImageScene, MeshTextureScene, Scene
from ..scenes.image import GAIN
from ..scenes.kept import ORIGINAL, PREFIX, WEIGHT, original_of
from ..scenes.mesh_texture import BESIDE, GREY, TEXTURE
from ..scenes.picture_start import EDGE
from ..scenes.stored import copy_scene
from .border import between_points, in_picture
from .continued import continued
from .masks import EMPTY
from .region import GAUSSIANS, LOCKED, PIXELS, TEXELS, Region, said
from .splats import spacing
from .texels import mesh_of, texels, texture_size

logger = logging.getLogger(__name__)
S = TypeVar("S", bound=Scene)
KINDS: dict[type[Scene], str] = {ImageScene: PIXELS, MeshTextureScene: TEXELS, GaussianScene: GAUSSIANS}


@torch.no_grad()
def limited(scene: S, region: Region) -> S:
    """A copy of the scene that looks the same and changes in the region alone.

    The copy keeps the scene's present look. Where the weight of the region is 0 it shows that look to the bit, whatever
    becomes of its parameters; over the border it mixes old and new.

    Raises:
        ValueError: nothing of such a scene can be kept, the region is of another one, or nothing is free in it.
    """
    kept, copy = kept_by(scene, region), copy_scene(scene)
    rest = {name: value for name, value in scene.attached.items() if not name.startswith(PREFIX)}
    if scene.kept is not None:  # the parameters are not yet what it shows
        _start_from(copy, kept)
    copy.attach({**rest, **kept})
    return copy


def kept_by(scene: Scene, region: Region) -> Mapping[str, Tensor]:
    """The attachments that `limited` gives the copy."""
    kind, shape = kind_of(scene), shape_of(scene)
    if region.kind != kind or tuple(region.free.shape) != shape:
        wanted = said(Region(kind, torch.zeros(shape, dtype=torch.bool)))
        raise ValueError(
            f"The region has {said(region)}, but the scene has {wanted}. Make a region from this scene."
        )
    if not bool(region.free.any()):
        raise ValueError(EMPTY.format("the region is empty"))
    kept = _KEEP[type(scene)](scene, region)
    if not bool((kept[WEIGHT] > 0).any()):
        raise ValueError(EMPTY.format("the region shows nothing of the surface"))
    return kept


def ready(scene: S, region: Region | None = None) -> S:
    """The scene that a run works on: `limited` if there is a region. A scene whose colours are pinned to its old ones
    (pin_weight) keeps these. Raises ValueError as `limited`."""
    if getattr(scene.config, "match_weight", 0) and (region is None or region.old != LOCKED):
        logger.warning("match_weight does nothing here: it needs a region that mixes with what is locked.")
    if region is not None:
        return limited(scene, region)
    if getattr(scene.config, "pin_weight", 0) and scene.kept is None:
        return limited(scene, everything(scene))
    return scene


@torch.no_grad()
def check_same(scene: Scene, region: Region) -> None:
    """Raise ValueError unless this is the region of the run that a scene is in."""
    if isinstance(scene, GaussianScene) and scene.kept is not None:  # the run has moved them since
        wanted = _gaussian_weight(scene.attached[f"{PREFIX}means"], region)
    else:
        wanted = kept_by(scene, region)[WEIGHT]
    if scene.kept is None or not torch.equal(wanted, scene.attached[WEIGHT]):
        raise ValueError(
            "The run to resume has another region, which it keeps to its end. Disconnect this one, or turn resume "
            "off to begin a new run with it."
        )


def kind_of(scene: Scene) -> str:
    """The kind of region that a scene has. Raises ValueError for a scene that has none, saying what to do."""
    if type(scene) not in KINDS:
        raise ValueError(
            f"No part of a {type(scene).__name__} can be locked: it has no pixels, texels or Gaussians of its own. "
            "Extract a mesh from it and paint that, or use an Image Scene without a VAE."
        )
    return KINDS[type(scene)]


def shape_of(scene: Scene) -> tuple[int, ...]:
    """The shape of the regions of a scene."""
    if isinstance(scene, ImageScene):
        return scene.config.size, scene.config.size
    if isinstance(scene, MeshTextureScene):
        return texture_size(scene)
    assert isinstance(scene, GaussianScene)
    return (scene.config.n_gaussians,)


def everything(scene: Scene) -> Region:
    """The whole scene; a scene that is `limited` to it knows how it was before. Raises ValueError as `kind_of`."""
    return Region(kind_of(scene), torch.ones(shape_of(scene), dtype=torch.bool), 0.0)


def _start_from(scene: Scene, kept: Mapping[str, Tensor]) -> None:
    """Set the parameters to the kept values."""
    if isinstance(scene, ImageScene):
        scene.pixels.copy_(torch.logit(kept[PREFIX + "pixels"], eps=EDGE) / GAIN)
    elif isinstance(scene, MeshTextureScene):
        mesh = replace(mesh_of(scene), texture=kept[TEXTURE].numpy().astype("float32") / 255)
        start_from_colors(scene, mesh)
    else:
        for name, value in scene.named_parameters():
            value.copy_(kept[PREFIX + name])


def _pixels(scene: ImageScene, region: Region) -> Mapping[str, Tensor]:
    was = original_of(scene, scene.attached) if scene.kept is None else None
    if was is None:
        size = scene.config.size
        was = scene.render(_no_cameras(scene), size, size).rgb
    weight, nearest = in_picture(region.free, region.border)
    was, n = was.detach().cpu().clone(), scene.config.n_images
    if region.old == LOCKED:
        was = was.flatten(2)[..., nearest.flatten()].view(was.shape)
    return {WEIGHT: weight.expand(n, 1, *weight.shape).contiguous(), PREFIX + "pixels": was}


def _gaussian_weight(means: Tensor, region: Region) -> Tensor:
    return between_points(means, region.free, region.border * spacing(means))[0]


def _gaussians(scene: GaussianScene, region: Region) -> Mapping[str, Tensor]:
    values = {name: value.detach().cpu().clone() for name, value in scene.values().items()}
    weight = _gaussian_weight(values["means"], region)
    return {WEIGHT: weight, **{PREFIX + name: value for name, value in values.items()}}


def _texels(scene: MeshTextureScene, region: Region) -> Mapping[str, Tensor]:
    if scene.config.begin == GREY and scene.kept is None and ORIGINAL not in scene.attached:
        raise ValueError(
            "A part of the mesh can only be kept while the rest begins in grey where its colours are a texture. Turn "
            "keep_colors on for a mesh with a texture, or leave out the region."
        )
    at = texels(scene)
    corner = scene.vertices[scene.faces].cpu().double()
    area = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).norm(dim=-1).sum() / 2
    width = region.border * float((area / len(at.points)).sqrt())
    weight = torch.zeros(at.known.shape)
    weight[at.known], nearest = between_points(at.points, region.free[at.known], width)
    beside = nearest_known(at.known)  # filtering at seams reads texels beside the surface
    weight, texture = weight.flatten()[beside], texture_now(scene)
    if region.old == LOCKED:
        colors, nearness = continued(at.points.float() / scene.bound, region.free[at.known], texture[at.known] / 255)
        found = torch.zeros(*at.known.shape, 4, dtype=torch.uint8)
        found[at.known] = (torch.cat([colors, nearness[:, None]], 1) * 255).round().to(torch.uint8)
        texture[at.known] = texture[at.known][nearest]
        texture = torch.where((weight > 0)[..., None], texture.flatten(0, 1)[beside], texture)
        return {WEIGHT: weight, TEXTURE: texture, BESIDE: found.flatten(0, 1)[beside]}
    return {WEIGHT: weight, TEXTURE: texture}


def texture_now(scene: MeshTextureScene) -> Tensor:
    """The texture [H, W, 3] uint8 that the scene shows."""
    if scene.kept is not None:
        shown, _ = mixed_texture(scene)
    else:
        was = original_of(scene, scene.attached)
        if was is not None:
            return was.clone()
        device, size = scene.vertices.device, texture_size(scene)

        def colors(points: Tensor) -> Tensor:
            return torch.cat([scene.albedo(p.to(device)).float().cpu() for p in points.split(POINTS_AT_ONCE)])

        shown, _ = paint_texels(mesh_of(scene), size, scene.vertices.cpu(), colors, lambda done: None)
    return (torch.from_numpy(shown).clamp(0, 1) * 255).round().to(torch.uint8)


def _no_cameras(scene: ImageScene):
    from ..cameras.sampling import orbit

    return orbit(scene.n_images)


_KEEP: dict[type[Scene], Callable[..., Mapping[str, Tensor]]] = {
    ImageScene: _pixels,
    MeshTextureScene: _texels,
    GaussianScene: _gaussians,
}
