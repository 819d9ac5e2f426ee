"""Rendering a scene for other nodes, view by view, with progress and interrupt."""

from __future__ import annotations

import math
from typing import TypeVar

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import orbit
from ...tbsd_core.memory import available_bytes, in_words
from ...tbsd_core.scenes import Scene
from ...tbsd_core.scenes.stored import copy_scene
from .autograd import optimization_mode
from .files import to_image
from .interop.cameras import Camera

S = TypeVar("S", bound=Scene)
OUTPUT_BYTES = (3 + 1 + 3 + 3) * 4  # of a pixel: colour, mask, depth and normal
SOLID = 0.5  # opacity above which there is a depth


def device_copy(scene: S) -> S:
    """A private copy of a scene on ComfyUI's device: nodes never change what another node made."""
    return copy_scene(scene, comfy.model_management.get_torch_device())


def render_orbit(
    scene: Scene, n_views: int, size: int, first: Camera, node_id: str | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """IMAGE, MASK [B, H, W], depth as IMAGE and normals as IMAGE of a turn around an object, from `first` on.

    Raises:
        ValueError: the scene is a picture, or the memory of the machine does not hold the pictures.
    """
    if not scene.uses_cameras:
        raise ValueError("Render Views needs a 3D scene, got a picture. Optimize Image already shows it.")
    needed = n_views * size**2 * OUTPUT_BYTES
    free = available_bytes(torch.device("cpu"))
    if free is not None and needed > free:
        raise ValueError(
            f"{n_views} views at {size} pixels make pictures of {in_words(needed)} (colours, mask, depth and "
            f"normals), but only {in_words(free)} of memory are free. Use a smaller size or fewer views; at this "
            f"size {int(free / needed * n_views)} fit."
        )
    cameras = orbit(n_views, first.elevation, first.distance, first.fov_y, first.azimuth)
    bar = comfy.utils.ProgressBar(n_views, node_id=node_id)
    near, far = math.inf, -math.inf
    with optimization_mode(), torch.no_grad():
        # each view goes to its place at once: nothing is there twice
        images, depths, normals = (torch.empty(n_views, size, size, 3) for _ in range(3))
        masks = torch.empty(n_views, size, size)
        scene = device_copy(scene)
        for i in range(n_views):
            comfy.model_management.throw_exception_if_processing_interrupted()
            view = scene.render(cameras[i : i + 1], size, size, with_normal=True)
            images[i : i + 1] = to_image(view.rgb)
            normals[i : i + 1] = to_image((view.normal * 0.5 + 0.5) * view.opacity)  # type: ignore[operator]
            masks[i] = view.opacity[0, 0].float().clamp(0, 1)
            solid = view.opacity > SOLID
            depth = torch.where(solid, view.depth, 0.0)
            if bool(solid.any()):
                near, far = min(near, float(view.depth[solid].min())), max(far, float(depth.max()))
            depths[i] = depth[0, 0, :, :, None].float()
            bar.update_absolute(i + 1, n_views)
        for depth, mask in zip(depths, masks, strict=True):
            depth.copy_(torch.where(mask[..., None] > SOLID, nearness(depth, near, far), 0.0))
    return images, masks, depths, normals


def nearness(depth: Tensor, near: float, far: float) -> Tensor:
    """Depth as brightness: 1 at the nearest point of all views, 0.1 at the farthest."""
    return 1 - 0.9 * (depth - near) / max(far - near, 1e-6)
