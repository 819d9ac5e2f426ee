"""Renders for looking at: a full turn around a scene, without gradients and a few views at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras.pose import Cameras
from ..cameras.sampling import orbit
from .base import RenderOutput, Scene


@torch.no_grad()
def render_views(
    scene: Scene,
    cameras: Cameras,
    height: int,
    width: int,
    chunk: int = 4,  # views rendered at once; bounds the memory
    with_normal: bool = False,
) -> RenderOutput:
    """Render all cameras deterministically, on the CPU and without the compositing weights."""
    parts = [
        scene.render(cameras[start : start + chunk], height, width, with_normal=with_normal)
        for start in range(0, len(cameras), chunk)
    ]

    names = ("rgb", "opacity", "depth", "normal", "latents")
    shown = [name for name in names if getattr(parts[0], name) is not None]
    return RenderOutput(**{name: torch.cat([getattr(part, name) for part in parts]).cpu() for name in shown})


def render_orbit(
    scene: Scene,
    n_frames: int = 48,
    size: int = 128,
    elevation: float = 15.0,
    distance: float = 3.0,
    fov_y: float = 36.0,
    chunk: int = 4,
) -> Tensor:
    """Turntable frames [N, 3, size, size] in [0, 1], beginning at the front."""
    cameras = orbit(n_frames, elevation, distance, fov_y)
    return render_views(scene, cameras, size, size, chunk).rgb.clamp(0, 1)
