"""Trainable functions of position: points in [-1, 1]^3 -> 4 raw values (density logit, 3 colour logits).

An encoding is one class and one line in ENCODINGS. On a CPU the grids that `grid_sample` reads are about five
times faster than a hash grid of 16 levels; the hash grid is there for fine detail on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..settings import setting
from .encoding import N_RAW, Decoder, Encoding
from .hash_grid import HASH_BITS, HashGrid


def _split_samples(tensor: Tensor, parts: int) -> tuple[Tensor, int]:
    """[N, D] -> [parts, ceil(N / parts), D], zero-padded: grid_sample's CPU kernels run one thread per batch item."""
    n = tensor.shape[0]
    size = -(-n // parts)
    padded = F.pad(tensor, (0, 0, 0, size * parts - n)) if size * parts > n else tensor
    return padded.view(parts, size, tensor.shape[1]), n


def _variation(grid: Tensor, axes: Sequence[int]) -> Tensor:
    """Mean absolute difference of neighbours along each axis, summed over the axes.

    It is linear between sign changes, so it equals the product of the grid with its own gradient: three kernels an
    axis, where autograd would make a dozen.
    """
    with torch.no_grad():
        gradient = torch.zeros_like(grid)
        for axis in axes:
            n, sign = grid.shape[axis] - 1, grid.diff(dim=axis).sign_()
            gradient.narrow(axis, 1, n).add_(sign, alpha=1 / sign.numel())
            gradient.narrow(axis, 0, n).sub_(sign, alpha=1 / sign.numel())
    return (grid * gradient).sum()


class DenseGrids(Encoding):
    """Sum of dense voxel grids of several resolutions, read by trilinear interpolation.

    The levels are added up on the finest grid before it is read, so that any number of levels costs one
    look-up per point. Where each resolution minus one divides the next one's, as in (17, 49), that equals
    reading every level alone. All values start at 0: the scene's density prior is the initial shape.
    """

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__(resolutions, generator)
        self.levels = nn.ParameterList(nn.Parameter(torch.zeros(1, N_RAW, r, r, r)) for r in resolutions)

    def grid(self) -> Tensor:
        """All levels on the finest grid, [1, 4, D, H, W] with axes z, y, x."""
        size = max(level.shape[-1] for level in self.levels)
        upsampled = [
            level
            if level.shape[-1] == size
            else F.interpolate(level, size=(size, size, size), mode="trilinear", align_corners=True)
            for level in self.levels
        ]
        return reduce(torch.add, upsampled)

    def forward(self, points: Tensor) -> Tensor:
        parts = torch.get_num_threads() if points.device.type == "cpu" else 1
        split, n = _split_samples(points, parts)
        grid = self.grid().expand(parts, -1, -1, -1, -1)
        raw = F.grid_sample(grid, split[:, :, None, None], align_corners=True, padding_mode="border")
        raw = raw.view(parts, N_RAW, -1).transpose(1, 2).reshape(-1, N_RAW)
        return raw if len(raw) == n else raw[:n]

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": list(self.levels), "lr": lr}]

    def total_variation(self) -> Tensor:
        fine = max(self.levels, key=lambda level: level.shape[-1])
        return _variation(fine, (2, 3, 4))


class KPlanes(Encoding):
    """Products of three axis-aligned feature planes per resolution (K-Planes, arXiv:2301.10241, Eq. 1).

    Memory grows with the square of the resolution, so resolutions can be higher than a dense grid's.
    """

    N_FEATURES = 8
    AXES = ((0, 1), (0, 2), (1, 2))

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__(resolutions, generator)
        self.planes = nn.ParameterList(
            # around 1, the neutral factor: a plane then passes the others' gradients on
            nn.Parameter(1 + 0.1 * torch.randn(3, self.N_FEATURES, r, r, generator=generator)) for r in resolutions
        )
        self.decoder = Decoder(self.N_FEATURES * len(resolutions), generator)

    def forward(self, points: Tensor) -> Tensor:
        axes = points.unbind(-1)
        uv = torch.stack([axes[k] for pair in self.AXES for k in pair])
        uv = uv.view(3, 2, 1, -1).permute(0, 3, 2, 1)  # [3, N, 1, 2]
        features = []
        for plane in self.planes:
            # multiplied out: the gradient of torch.prod asks on the host whether there are zeros
            a, b, c = F.grid_sample(plane, uv, align_corners=True, padding_mode="border").squeeze(-1).unbind(0)
            features.append(a * b * c)  # [C, N]
        return self.decoder(torch.cat(features).T)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [
            {"params": list(self.planes), "lr": 3 * lr},  # products of three near 1 pass on small changes
            {"params": list(self.decoder.parameters()), "lr": 0.25 * lr},
        ]

    def total_variation(self) -> Tensor:
        fine = max(self.planes, key=lambda plane: plane.shape[-1])
        return _variation(fine, (2, 3))


ENCODINGS: dict[str, type[Encoding]] = {"dense": DenseGrids, "kplanes": KPlanes, "hash": HashGrid}
# a configuration may come from a file: these bound its memory (2 GB for the dense grid)
MAX_RESOLUTIONS: dict[str, int] = {"dense": 512, "kplanes": 4096, "hash": 65536}
MAX_LEVELS = 16


def build_encoding(
    name: str, resolutions: Sequence[int], generator: torch.Generator, hash_bits: int = HASH_BITS
) -> Encoding:
    """The encoding of a name in ENCODINGS; `hash_bits` is for tables that are hashed."""
    if name == "hash":
        return HashGrid(resolutions, generator, hash_bits)
    return ENCODINGS[name](resolutions, generator)


def encoding_setting(what: str, **hint: Any) -> Any:
    """The field `encoding` of a configuration; `what` is stored, as in "the volume is"."""
    which = "Dense grids are the fastest on a CPU; planes and hash grids hold finer detail in less memory."
    return setting("dense", f"How {what} stored. {which}", choices=tuple(ENCODINGS), **hint)


def resolutions_setting(levels: tuple[int, ...], tooltip: str, **hint: Any) -> Any:
    """The field `resolutions`, grid points per axis of each level. A widget shows the finest one, and its value stands
    above those coarser ones of the default that are smaller."""
    return setting(
        levels,
        tooltip,
        widget="detail",
        shown=lambda value: value[-1],
        read=lambda finest: (*(r for r in levels[:-1] if r < finest), finest),
        **hint,
    )


def check_resolutions(encoding: str, resolutions: Sequence[int]) -> None:
    """Raise ValueError for resolutions that an encoding cannot have."""
    most = MAX_RESOLUTIONS[encoding]
    if not 1 <= len(resolutions) <= MAX_LEVELS or not all(2 <= r <= most for r in resolutions):
        raise ValueError(
            f"resolutions must be 1 to {MAX_LEVELS} integers in [2, {most}] for {encoding}, got {tuple(resolutions)}."
        )
