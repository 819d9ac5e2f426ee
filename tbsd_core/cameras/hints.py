"""A camera's view of a surface, as pictures of the kind that ControlNets for depth and for normals were trained on.

Both are [B, 3, H, W] in [0, 1], float32 and without gradient. Where there is no surface they are black.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .pose import Cameras
from .rays import ray_lengths

FARTHEST = 0.5  # grey of the farthest surface: a silhouette shows on black (TEXTure, arXiv:2302.01721, its renderer)
SOLID = 0.5  # opacity from which a pixel counts as surface


@torch.no_grad()
def depth_hint(
    depth: Tensor,  # [B, 1, H, W] distance along the ray of each pixel
    opacity: Tensor,  # [B, 1, H, W]
    cameras: Cameras,
) -> Tensor:
    """Inverse depth, nearest white, spread over each view's own surface.

    ControlNets for depth were trained on MiDaS (arXiv:2302.05543, section 4), which gives inverse depth up to scale
    and shift (arXiv:1907.01341, section 5); its pictures are spread from minimum to maximum. The background of a
    scene has no depth that could be the minimum, so the farthest surface is FARTHEST instead.

    Returns:
        [B, 3, H, W], three equal channels; black throughout in a view without solid surface.
    """
    inverse = ray_lengths(cameras, *depth.shape[-2:]) / depth.clamp(min=1e-6)
    solid = opacity >= SOLID
    infinity = torch.full_like(inverse, torch.inf)
    nearest = torch.where(solid, inverse, -infinity).amax((1, 2, 3), keepdim=True)
    farthest = torch.where(solid, inverse, infinity).amin((1, 2, 3), keepdim=True)
    span = nearest - farthest
    # one depth for all of a view is the nearest there is; a view without surface has infinite ends
    spread = torch.where(span > 1e-6 * nearest, (inverse - farthest) / span, torch.ones_like(inverse))
    grey = (FARTHEST + (1 - FARTHEST) * spread.clamp(0, 1)) * opacity
    grey = torch.where(torch.isfinite(nearest), grey, torch.zeros_like(grey))
    return grey.float().expand(-1, 3, -1, -1).contiguous()


@torch.no_grad()
def normal_hint(
    normal: Tensor,  # [B, 3, H, W] unit vectors in the world
    opacity: Tensor,  # [B, 1, H, W]
    cameras: Cameras,
) -> Tensor:
    """Normals as each camera sees them: red for x to the LEFT, green for y up, blue for z towards the camera.

    A component n is stored as (n + 1) / 2. The axes follow ControlNet 1.1's preprocessor, the estimator of Bae et al.
    (arXiv:2109.09881): its author gives x right, y down, z front for normals that point away from the camera
    (github.com/baegwangbin/DSINE, issues 8 and 12), and other renderers flip x for that ControlNet, too
    (dream-textures, "ControlNet Normal").

    Returns:
        [B, 3, H, W]; pixels that a surface covers in part are darker in proportion.
    """
    rotation = cameras.c2w()[:, :3, :3].to(normal)
    seen = torch.einsum("bji,bjhw->bihw", rotation, normal)  # R^T n: x right, y up, z to the camera
    seen = seen * seen.new_tensor([-1, 1, 1]).view(3, 1, 1)
    return ((seen.clamp(-1, 1) + 1) / 2 * opacity).float()
