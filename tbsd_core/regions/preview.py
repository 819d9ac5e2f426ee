"""A region as pictures: the part that may change is tinted."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..scenes import GaussianScene, MeshTextureScene, Scene
from ..scenes.kept import WEIGHT
from ..scenes.mesh_texture import TEXTURE
from ..scenes.stored import copy_scene
from .limit import texture_now
from .region import Region

TINT, STRENGTH = (1.0, 0.45, 0.0), 0.6  # orange; how much of it


@torch.no_grad()
def preview(scene: Scene, region: Region, cameras: Cameras, size: int) -> Tensor:
    """Pictures [B, 3, size, size] of a scene, or the pictures that it holds, with the region tinted orange.

    Args:
        cameras: from which an object is seen, and as many as pictures for one that holds these.
    """
    if isinstance(scene, MeshTextureScene):
        texture = tinted((texture_now(scene).float() / 255).movedim(-1, 0), region.free).movedim(0, -1)
        copy = copy_scene(scene)
        bytes_of = (texture * 255).round().to(torch.uint8)
        copy.attach({**scene.attached, TEXTURE: bytes_of, WEIGHT: torch.zeros(region.free.shape)})
        return copy.render(cameras, size, size).rgb
    if isinstance(scene, GaussianScene):
        splats = copy_scene(scene, scene.means.device)  # free of what it keeps, and tinted
        splats.attach({})
        for name, value in scene.values().items():
            splats.get_parameter(name).copy_(value)
        colors = torch.sigmoid(splats.color_logits).T
        splats.color_logits.copy_(torch.logit(tinted(colors, region.free).T, eps=1e-3))
        return splats.render(cameras, size, size).rgb
    height, width = region.free.shape
    return tinted(scene.render(cameras, height, width).rgb, region.free)


def tinted(colors: Tensor, free: Tensor) -> Tensor:
    """Colours [..., 3, *] with TINT where `free` [*]."""
    tint = torch.tensor(TINT).view(3, *[1] * free.ndim).to(colors)
    return torch.where(free.to(colors.device), torch.lerp(colors, tint, STRENGTH), colors)
