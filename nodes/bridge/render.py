"""Rendering a scene for other nodes, view by view, with progress and interrupt."""

from __future__ import annotations

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ...tbsd_core.cameras.sampling import orbit
from ...tbsd_core.scenes import Scene
from ...tbsd_core.scenes.stored import copy_scene
from .autograd import optimization_mode
from .files import to_image


def device_copy(scene: Scene) -> Scene:
    """A private copy of a scene on ComfyUI's device: nodes never change what another node made."""
    return copy_scene(scene, comfy.model_management.get_torch_device())


def render_orbit(
    scene: Scene, n_views: int, size: int, elevation: float, distance: float, fov_y: float, node_id: str | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """IMAGE, MASK [B, H, W], depth as IMAGE and normals as IMAGE of a turn around an object.

    Raises:
        ValueError: the scene is a picture.
    """
    if not scene.uses_cameras:
        raise ValueError("Render Views needs a 3D scene; a picture comes out of Optimize Image as it is.")
    cameras = orbit(n_views, elevation, distance, fov_y)
    bar = comfy.utils.ProgressBar(n_views, node_id=node_id)
    views = []
    with optimization_mode(), torch.no_grad():
        scene = device_copy(scene)
        for i in range(n_views):
            comfy.model_management.throw_exception_if_processing_interrupted()
            views.append(scene.render(cameras[i : i + 1], size, size, with_normal=True))
            bar.update_absolute(i + 1, n_views)
        rgb, opacity, depth, normal = (
            torch.cat([getattr(v, name) for v in views]) for name in ("rgb", "opacity", "depth", "normal")
        )
    return (
        to_image(rgb),
        opacity[:, 0].float().cpu().clamp(0, 1),
        to_image(nearness(depth, opacity).expand(-1, 3, -1, -1)),
        to_image((normal * 0.5 + 0.5) * opacity),
    )


def nearness(depth: Tensor, opacity: Tensor) -> Tensor:
    """Depth [B, 1, H, W] as brightness over all views: 1 at the nearest point, 0.1 at the farthest, 0 where empty."""
    solid = opacity > 0.5
    if not bool(solid.any()):
        return torch.zeros_like(depth)
    near, far = depth[solid].min(), depth[solid].max()
    return torch.where(solid, 1 - 0.9 * (depth - near) / (far - near).clamp(min=1e-6), 0.0)
