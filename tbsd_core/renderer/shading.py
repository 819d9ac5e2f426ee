"""Light on a surface during training: shape shows in shadows, and colour cannot pretend to be shape."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..rng import rand_rows

AMBIENT, DIFFUSE = 0.1, 0.9  # of threestudio's point light, whose light has intensity 1
CONE = 60.0  # degrees between the light and the camera at most: what is seen is mostly lit


def random_lights(eyes: Tensor, generator: torch.Generator) -> Tensor:
    """For each view a unit vector [B, 3] towards a light, within CONE degrees of its camera at [B, 3].

    DreamFusion (arXiv:2209.14988, Appendix A.2) places a point light around the camera; ours is at infinity.
    """
    draws = rand_rows(len(eyes), 2, generator=generator).to(eyes, non_blocking=True)
    to_camera = F.normalize(eyes, dim=-1)
    # uniform on the cap around the camera's direction
    cos = 1 - draws[:, 0] * (1 - math.cos(math.radians(CONE)))
    sin, phi = (1 - cos.square()).clamp(min=0).sqrt(), draws[:, 1] * 2 * math.pi
    axis = to_camera.abs().argmin(-1, keepdim=True)
    helper = (axis == torch.arange(3, device=eyes.device)).to(eyes.dtype)
    u = F.normalize(torch.linalg.cross(to_camera, helper), dim=-1)
    v = torch.linalg.cross(to_camera, u)
    return cos[:, None] * to_camera + sin[:, None] * (phi.cos()[:, None] * u + phi.sin()[:, None] * v)


def lambertian(normals: Tensor, lights: Tensor) -> Tensor:
    """Brightness [K, 1] in [AMBIENT, 1] of surfaces with unit normals [K, 3] under lights from unit vectors [K, 3]."""
    return AMBIENT + DIFFUSE * (normals * lights).sum(-1, keepdim=True).clamp(min=0)
