"""3D Gaussian splatting, Kerbl et al. 2023 (arXiv:2308.04079): a reference in plain PyTorch, and gsplat.

Both take the same tensors and agree: the reference projects with the same local affine approximation
(EWA), the same low-pass filter of 0.3 pixels and the same thresholds as gsplat 1.x. It has no tiles: each
Gaussian meets the pixels of its own bounding box, which suits a CPU and some thousand Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..cameras.pose import Cameras
from ..optional import require
from ..transfer import double_device

LOW_PASS = 0.3  # pixels^2 added to the projected covariance, so that nothing falls between two pixels
NEAR = 0.01  # world units; what is nearer to the camera plane, or behind it, is not drawn
MAX_ALPHA = 0.999
MIN_ALPHA = 1 / 255
MIN_TRANSMITTANCE = 1e-4  # a pixel is finished before the Gaussian that would leave less than this
WATCHED = 1 << 18  # pixels at once, at most, where no gradient is wanted
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
    right, up, backward, _ = c2w[:, :3].unbind(-1)
    rotation = torch.stack([right, -up, -backward], 1)
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
    Gaussians with depths <= NEAR are not drawn: their other numbers mean nothing.
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
    rows_at_once: int = 0,  # pixel rows of all views; 0: all of them, on a CPU the rows of one view
) -> tuple[Tensor, Tensor, Tensor]:
    """Premultiplied colours [B, H, W, 3], opacities [B, H, W, 1] and accumulated axial depths [B, H, W, 1].

    Differentiable once with respect to all parameters; the order of the Gaussians and their bounding boxes are not.
    The views are drawn at once, as B * H rows of pixels one below the other. Fewer rows at once need less memory,
    and stay in the cache of a CPU; without gradients it is never more than WATCHED pixels.
    """
    centers, covariances, depths = project_splats(splats, viewmats, ks, height, width)
    xx, xy, yy = covariances.unbind(-1)
    determinant = xx * yy - xy * xy
    conics = torch.stack([yy, -xy, xx], -1) / determinant[..., None]
    shared = torch.cat([splats.opacities[:, None], splats.colors], -1).expand(len(viewmats), -1, -1)
    features = torch.cat([centers, conics, shared, depths[..., None]], -1).flatten(0, 1)
    variances = covariances.detach()[..., ::2].flatten(0, 1)
    n_rows = len(viewmats) * height
    step = rows_at_once or (height if features.device.type == "cpu" else n_rows)
    if not torch.is_grad_enabled():  # pieces cost nothing then
        step = min(step, -(-WATCHED // width))
    bands = [slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]
    drawn = [_Composite.apply(features, variances, len(splats.means), height, width, band) for band in bands]
    out = torch.cat(drawn).view(len(viewmats), height, width, 5)
    return out[..., :3], out[..., 4:], out[..., 3:4]


class _Composite(torch.autograd.Function):
    """From features [B * N, 10] (centre, conic, opacity, colour, depth) and variances [B * N, 2] on the screen to
    the pixels [P, 5] of a band of rows: premultiplied colour, accumulated depth, opacity.

    The gradient is written out: autograd would keep some two hundred bytes for each pair of a Gaussian and a pixel,
    and there are millions; this keeps twenty-four. With w_i = T_i alpha_i and g_i the pixel's gradient times what i
    shows, d / d alpha_i is T_i g_i - sum_{j > i} w_j g_j / (1 - alpha_i).
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, variances: Tensor, n_splats: int, height: int, width: int, band: slice
    ) -> Tensor:
        splat, pixel, alpha = _pairs(features, variances, n_splats, height, width, band)
        n_pixels = (band.stop - band.start) * width
        # the transmittance before each pair: a running sum of logarithms, less its value at the pixel's first pair
        wide = double_device(alpha.device)
        log_keep = torch.log1p(-alpha.to(wide).double())
        total = log_keep.cumsum(0)
        before = total - log_keep
        edges = torch.searchsorted(pixel, torch.arange(n_pixels + 1, dtype=pixel.dtype, device=pixel.device))
        start = before.index_select(0, edges.index_select(0, pixel).to(wide))
        drawn = total - start > math.log(MIN_TRANSMITTANCE)
        weight = ((before - start).exp() * drawn).to(alpha.dtype).to(alpha.device) * alpha
        values = _shown(features).index_select(0, splat) * weight[:, None]
        ctx.save_for_backward(features, splat, pixel, alpha, weight, edges)
        ctx.first_row, ctx.height, ctx.width = band.start, height, width
        return features.new_zeros(n_pixels, 5).index_add_(0, pixel, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, splat, pixel, alpha, weight, edges = ctx.saved_tensors
        pixel_grad = grad.index_select(0, pixel)
        shown_grad = features.new_zeros(len(features), 5).index_add_(0, splat, pixel_grad * weight[:, None])
        wanted = (pixel_grad * _shown(features).index_select(0, splat)).sum(-1)
        wide = double_device(alpha.device)
        so_far = F.pad((weight * wanted).to(wide).double().cumsum(0), (1, 0))
        behind = so_far[edges[1:].to(wide)].index_select(0, pixel.to(wide)) - so_far[1:]
        # alpha d / d alpha, which is minus the gradient of the exponent, but where alpha is cut off
        g = (weight * wanted - behind.to(alpha.dtype).to(alpha.device) * (alpha / (1 - alpha))) * (alpha < MAX_ALPHA)
        x, y = features[:, :2].T.contiguous()
        column, row = pixel % ctx.width, (pixel // ctx.width + ctx.first_row) % ctx.height
        dx, dy = column + 0.5 - x.index_select(0, splat), row + 0.5 - y.index_select(0, splat)
        gx, gy = g * dx, g * dy
        moments = torch.stack([gx, gy, gx * dx, gx * dy, gy * dy, g], -1)
        sums = features.new_zeros(len(features), 6).index_add_(0, splat, moments)
        sx, sy, sxx, sxy, syy, s = sums.unbind(-1)
        a, b, c, opacity = features[:, 2:6].unbind(-1)
        opacity = opacity.clamp_min(torch.finfo(opacity.dtype).tiny)  # what has faded to 0 is not seen: s is 0, too
        own = torch.stack([a * sx + b * sy, b * sx + c * sy, -0.5 * sxx, -sxy, -0.5 * syy, s / opacity], -1)
        return torch.cat([own, shown_grad[:, :4]], -1), None, None, None, None, None


def _shown(features: Tensor) -> Tensor:
    """The values that a Gaussian adds to a pixel, [B * N, 5]: colour, depth, and 1 to the opacity."""
    return F.pad(features[:, 6:], (0, 1), value=1.0)


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


def _pairs(
    features: Tensor,  # [B * N, 10]
    variances: Tensor,  # [B * N, 2]
    n_splats: int,
    height: int,
    width: int,
    band: slice,
) -> tuple[Tensor, Tensor, Tensor]:
    """(Gaussian, pixel of the band, alpha) of the pairs [M] with an alpha of at least MIN_ALPHA, by pixel, in it near
    to far. The host waits twice, for the number of candidates and for the number of pairs."""
    opacity, depth = features[:, 5], features[:, 9]
    device = features.device
    # alpha falls to MIN_ALPHA at this many standard deviations: a tight box that leaves nothing out
    extent = torch.sqrt(2 * torch.log((opacity / MIN_ALPHA).clamp(min=1)))
    radius = extent[:, None] * variances.sqrt()
    low = (features[:, :2] - radius - 0.5).ceil().clamp_(min=0)
    high = (features[:, :2] + radius + 0.5).floor().clamp_(min=0)
    (x0, y0), (x1, y1) = low.T, high.T
    # rows count from the top of the band, views lie one below the other
    top = torch.arange(len(features), device=device) // n_splats * height - band.start
    x0, x1 = x0.clamp(max=width).long(), x1.clamp(max=width).long()
    y0, y1 = ((y.clamp(max=height).long() + top).clamp_(0, band.stop - band.start) for y in (y0, y1))
    columns = (x1 - x0).clamp_(min=0)
    rows = (y1 - y0).clamp_(min=0) * ((depth > NEAR) & (opacity >= MIN_ALPHA) & (columns > 0))
    # a run of columns in each row of a box, then the columns: the division is of runs, not of pixels
    near_to_far = torch.argsort(depth, stable=True)
    runs = rows.index_select(0, near_to_far)
    n_runs, n_candidates = torch.stack([rows.sum(), (rows * columns).sum()]).tolist()
    place = torch.repeat_interleave(runs, output_size=n_runs)
    owner = near_to_far.index_select(0, place)
    begin = y0.index_select(0, near_to_far) - (runs.cumsum(0) - runs)
    row = torch.arange(n_runs, device=device) + begin.index_select(0, place)
    length = columns.index_select(0, owner)
    run = torch.repeat_interleave(length, output_size=n_candidates)
    begin = x0.index_select(0, owner) - (length.cumsum(0) - length)
    column = torch.arange(n_candidates, device=device) + begin.index_select(0, run)
    splat = owner.index_select(0, run)
    x, y, a, b, c, o = (v.index_select(0, splat) for v in features[:, :6].T.contiguous())
    own_row = row - top.index_select(0, owner)
    alpha = _alpha(x, y, a, b, c, o, column, own_row.index_select(0, run))
    seen = (alpha >= MIN_ALPHA).nonzero()[:, 0]
    pixel = (row * width).index_select(0, run).add_(column).index_select(0, seen).int()
    pixel, order = torch.sort(pixel, stable=True)
    seen = seen.index_select(0, order)
    return splat.index_select(0, seen), pixel.long(), alpha.index_select(0, seen)


def splat_gsplat(
    splats: Splats,
    viewmats: Tensor,  # [B, 4, 4]
    ks: Tensor,  # [B, 3, 3]
    height: int,
    width: int,
    rows_at_once: int = 0,  # without a meaning here: its memory is small
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as `splat_reference`, from gsplat's CUDA kernels.

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


Rasterizer = Callable[[Splats, Tensor, Tensor, int, int, int], tuple[Tensor, Tensor, Tensor]]
BACKENDS: dict[str, Rasterizer] = {"reference": splat_reference, "gsplat": splat_gsplat}


def choose_backend(name: str, device: torch.device) -> Rasterizer:
    """The rasteriser of that name; "auto" is gsplat on CUDA where it is installed, else the reference."""
    if name == "auto":
        from importlib.util import find_spec

        name = "gsplat" if device.type == "cuda" and find_spec("gsplat") is not None else "reference"
    return BACKENDS[name]
