"""3D Gaussian splatting, Kerbl et al. 2023 (arXiv:2308.04079): a reference in plain PyTorch, and gsplat.

Both take the same tensors and agree: the reference projects with the same local affine approximation
(EWA), the same low-pass filter of 0.3 pixels and the same thresholds as gsplat 1.x. It has no tiles: each
Gaussian meets the pixels of its own bounding box, which suits a CPU and some thousand Gaussians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.pose import Cameras
from ..optional import require

LOW_PASS = 0.3  # pixels^2 added to the projected covariance, so that nothing falls between two pixels
NEAR = 0.01  # world units; what is nearer to the camera plane, or behind it, is not drawn
MAX_ALPHA = 0.999
MIN_ALPHA = 1 / 255
MIN_TRANSMITTANCE = 1e-4  # a pixel is finished before the Gaussian that would leave less than this
MARGIN = 0.3  # of the half field of view, by which the affine approximation may be taken outside the image


@dataclass(frozen=True)
class Splats:
    """N Gaussians, activated.

    Args:
        means: [N, 3], world space.
        quats: [N, 4], rotations as (w, x, y, z), of any length > 0.
        scales: [N, 3], standard deviations along the rotated axes, > 0, world units.
        opacities: [N] in [0, 1].
        colors: [N, 3] in [0, 1], the same from all sides.
    """

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor

    def __post_init__(self) -> None:
        n = len(self.means)
        expected = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,), "colors": (n, 3)}
        got = {name: tuple(getattr(self, name).shape) for name in expected}
        if expected != got:
            raise ValueError(f"Splats needs tensors of the shapes {expected}, got {got}.")


def view_matrices(cameras: Cameras) -> Tensor:
    """World-to-camera matrices [B, 4, 4] with OpenCV axes (x right, y down, looking along +z), as gsplat wants."""
    c2w = cameras.c2w()
    axes = c2w[:, :3, :3] * torch.tensor([1.0, -1.0, -1.0], dtype=c2w.dtype, device=c2w.device)
    rotation = axes.transpose(1, 2)
    top = torch.cat([rotation, -rotation @ c2w[:, :3, 3:]], -1)
    return torch.cat([top, c2w[:, 3:]], 1)


def intrinsics(cameras: Cameras, height: int, width: int) -> Tensor:
    """Pinhole matrices [B, 3, 3] in pixels; pixel (row i, column j) has its centre at (j + 0.5, i + 0.5)."""
    focal = height / 2 / cameras.tan_half_fov()
    k = torch.zeros(len(cameras), 3, 3, dtype=focal.dtype, device=focal.device)
    k[:, 0, 0] = k[:, 1, 1] = focal
    k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = width / 2, height / 2, 1.0
    return k


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotations [N, 3, 3] of quaternions [N, 4] (w, x, y, z), which are normalised first."""
    w, x, y, z = F.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, -1).view(-1, 3, 3)


def project_splats(
    splats: Splats,
    viewmats: Tensor,  # [B, 4, 4]
    ks: Tensor,  # [B, 3, 3]
    height: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Centres [B, N, 2] in pixels, covariances [B, N, 3] (xx, xy, yy) in pixels^2 and depths [B, N] along the axis.

    The covariance is J R Sigma R^T J^T + 0.3 I with the Jacobian J of the projection (arXiv:2308.04079, Eq. 5).
    Depths <= NEAR are of Gaussians that are not to be drawn: their other numbers mean nothing.
    """
    rotation = viewmats[:, None, :3, :3]
    x, y, z = (splats.means @ viewmats[:, :3, :3].transpose(1, 2) + viewmats[:, None, :3, 3]).unbind(-1)
    safe = z.clamp(min=NEAR)
    fx, fy, cx, cy = (ks[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    centers = torch.stack([fx * x / safe + cx, fy * y / safe + cy], -1)
    margin_x, margin_y = MARGIN * 0.5 * width / fx, MARGIN * 0.5 * height / fy
    u = torch.maximum(torch.minimum(x / safe, (width - cx) / fx + margin_x), -cx / fx - margin_x)
    v = torch.maximum(torch.minimum(y / safe, (height - cy) / fy + margin_y), -cy / fy - margin_y)
    axes = rotation @ (rotation_matrices(splats.quats) * splats.scales[:, None, :])  # [B, N, 3, 3]
    row_x = (fx / safe)[..., None] * (axes[..., 0, :] - u[..., None] * axes[..., 2, :])
    row_y = (fy / safe)[..., None] * (axes[..., 1, :] - v[..., None] * axes[..., 2, :])
    xx, xy, yy = (row_x * row_x).sum(-1), (row_x * row_y).sum(-1), (row_y * row_y).sum(-1)
    return centers, torch.stack([xx + LOW_PASS, xy, yy + LOW_PASS], -1), z


def splat_reference(
    splats: Splats,
    viewmats: Tensor,  # [B, 4, 4]
    ks: Tensor,  # [B, 3, 3]
    height: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Premultiplied colours [B, H, W, 3], opacities [B, H, W, 1] and accumulated axial depths [B, H, W, 1].

    Differentiable with respect to all parameters; the order of the Gaussians and their bounding boxes are not.
    Views are drawn one after another, so that only the memory that autograd keeps grows with their number.
    """
    centers, covariances, depths = project_splats(splats, viewmats, ks, height, width)
    xx, xy, yy = covariances.unbind(-1)
    determinant = xx * yy - xy * xy
    conics = torch.stack([yy, -xy, xx], -1) / determinant[..., None]
    shared = torch.cat([splats.opacities[:, None], splats.colors], -1)
    views = []
    for b in range(len(viewmats)):
        features = torch.cat([centers[b], conics[b], depths[b][:, None], shared], -1)
        views.append(_composite(features, covariances[b], height, width))
    color, depth, opacity = torch.stack(views).view(len(viewmats), height, width, 5).split([3, 1, 1], -1)
    return color, opacity, depth


def _composite(
    features: Tensor,  # [N, 10]: centre, conic, depth, opacity, colour
    covariance: Tensor,  # [N, 3]
    height: int,
    width: int,
) -> Tensor:  # [H * W, 5]: premultiplied colour, accumulated depth, opacity
    splat, column, row = _pairs(features.detach(), covariance.detach(), height, width)
    pixel = row * width + column
    # taken apart at once: the gradient of each slice alone would be a whole [M, 10] of zeros
    x, y, a, b, c, depth, opacity, *color = features.index_select(0, splat).unbind(-1)
    alpha = _alpha(x, y, a, b, c, opacity, column, row)
    # the transmittance before each pair: a running sum of logarithms, less its value at the pixel's first pair
    log_keep = torch.log1p(-alpha.double())
    total = log_keep.cumsum(0)
    before = total - log_keep
    count = torch.bincount(pixel, minlength=height * width)
    first = (count.cumsum(0) - count).index_select(0, pixel)
    start = before.index_select(0, first)
    drawn = (total - start).detach().exp() > MIN_TRANSMITTANCE
    weight = ((before - start).exp() * drawn).to(alpha.dtype) * alpha
    values = torch.stack([*(channel * weight for channel in (*color, depth)), weight], -1)
    return features.new_zeros(height * width, 5).index_add(0, pixel, values)


def _alpha(
    x: Tensor,  # [M], as all of them: the Gaussian's centre,
    y: Tensor,
    a: Tensor,  # its conic (xx, xy, yy)
    b: Tensor,
    c: Tensor,
    opacity: Tensor,  # and its opacity;
    column: Tensor,  # the pixel
    row: Tensor,
) -> Tensor:
    """Opacity [M] that each Gaussian has at a pixel."""
    dx, dy = column + 0.5 - x, row + 0.5 - y
    power = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    return (opacity * torch.exp(-power)).clamp(max=MAX_ALPHA)


@torch.no_grad()
def _pairs(features: Tensor, covariance: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """(Gaussian, column, row) of the pairs [M] with an alpha of at least MIN_ALPHA, by pixel, in it near to far."""
    opacity, depth = features[:, 6], features[:, 5]
    # alpha falls to MIN_ALPHA at this many standard deviations: a tight box that leaves nothing out
    extent = torch.sqrt(2 * torch.log((opacity / MIN_ALPHA).clamp(min=1)))
    limit = features.new_tensor([width, height])
    radius = extent[:, None] * covariance[:, [0, 2]].sqrt()
    low = (features[:, :2] - radius - 0.5).ceil().clamp(min=0).minimum(limit).long()
    high = ((features[:, :2] + radius - 0.5).floor() + 1).clamp(min=0).minimum(limit).long()
    size = (high - low).clamp(min=0)
    size = size * ((depth > NEAR) & (opacity >= MIN_ALPHA))[:, None]
    near_to_far = torch.argsort(depth, stable=True)
    # a run of columns in each row of a box, then the columns: numbers of runs are divided, not those of pixels
    runs = size[:, 1] * (size[:, 0] > 0)
    runs = runs[near_to_far]
    owner = torch.repeat_interleave(near_to_far, runs)
    row = torch.arange(len(owner), device=owner.device) - torch.repeat_interleave(runs.cumsum(0) - runs, runs)
    row += low[:, 1].index_select(0, owner)
    length = size[:, 0].index_select(0, owner)
    splat, row = torch.repeat_interleave(owner, length), torch.repeat_interleave(row, length)
    begin = low[:, 0].index_select(0, owner) - (length.cumsum(0) - length)
    column = torch.arange(len(splat), device=splat.device) + torch.repeat_interleave(begin, length)
    x, y, a, b, c, _, o = (v.index_select(0, splat) for v in features[:, :7].T.contiguous())
    seen = (_alpha(x, y, a, b, c, o, column, row) >= MIN_ALPHA).nonzero()[:, 0]
    order = torch.sort((row * width + column).index_select(0, seen), stable=True).indices
    seen = seen.index_select(0, order)
    return splat.index_select(0, seen), column.index_select(0, seen), row.index_select(0, seen)


def splat_gsplat(
    splats: Splats,
    viewmats: Tensor,  # [B, 4, 4]
    ks: Tensor,  # [B, 3, 3]
    height: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `splat_reference` returns, from gsplat's CUDA kernels.

    Raises:
        ImportError: gsplat is not installed, with the pip line.
        ValueError: the tensors are not on a CUDA device.
    """
    rasterization = require("gsplat").rasterization
    if not splats.means.is_cuda:
        raise ValueError(f"gsplat needs tensors on a CUDA device, got {splats.means.device}. Use the reference there.")
    out, opacity, _ = rasterization(
        splats.means,
        splats.quats,
        splats.scales,
        splats.opacities,
        splats.colors,
        viewmats,
        ks,
        width,
        height,
        near_plane=NEAR,
        eps2d=LOW_PASS,
        render_mode="RGB+D",
        packed=False,
    )
    return out[..., :3], opacity, out[..., 3:]


Rasterizer = Callable[[Splats, Tensor, Tensor, int, int], tuple[Tensor, Tensor, Tensor]]
BACKENDS: dict[str, Rasterizer] = {"reference": splat_reference, "gsplat": splat_gsplat}


def choose_backend(name: str, device: torch.device) -> Rasterizer:
    """The rasteriser of that name; "auto" is gsplat on CUDA where it is installed, else the reference."""
    if name == "auto":
        from importlib.util import find_spec

        name = "gsplat" if device.type == "cuda" and find_spec("gsplat") is not None else "reference"
    return BACKENDS[name]
