"""Trainable functions of position: points in [-1, 1]^3 -> 4 raw values (density logit, 3 colour logits).

An encoding is one class with the constructor `(resolutions, generator)`, `forward`, `parameter_groups`,
`total_variation` and `twice_differentiable` (by its points), and one line in ENCODINGS. On a CPU the grids
that `grid_sample` reads are about five times faster than a hash grid of 16 levels; the hash grid is there
for fine detail on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_RAW = 4


def _normal(shape: Sequence[int], std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=generator) * std)


class Decoder(nn.Module):
    """A small MLP from features [N, C] to raw values [N, 4], drawn from `generator` alone."""

    def __init__(self, n_features: int, generator: torch.Generator, hidden: int = 32) -> None:
        super().__init__()
        self.w1 = _normal((hidden, n_features), math.sqrt(2 / n_features), generator)
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = _normal((N_RAW, hidden), 0.1 / math.sqrt(hidden), generator)
        self.b2 = nn.Parameter(torch.zeros(N_RAW))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.relu(F.linear(features, self.w1, self.b1)), self.w2, self.b2)


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


class DenseGrids(nn.Module):
    """Sum of dense voxel grids of several resolutions, read by trilinear interpolation.

    The levels are added up on the finest grid before it is read, so that any number of levels costs one
    look-up per point. Where each resolution minus one divides the next one's, as in (17, 49), that equals
    reading every level by itself. All values start at 0: the scene's density prior is the initial shape.
    """

    twice_differentiable = False

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        del generator  # a start at zero needs no draws
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

    def parameter_groups(self, lr: float) -> list[dict]:
        return [{"params": list(self.levels), "lr": lr}]

    def total_variation(self) -> Tensor:
        """Mean absolute difference of neighbouring voxels on the finest level, summed over the axes."""
        fine = max(self.levels, key=lambda level: level.shape[-1])
        return _variation(fine, (2, 3, 4))


class KPlanes(nn.Module):
    """Products of three axis-aligned feature planes per resolution (K-Planes, arXiv:2301.10241, Eq. 1).

    Memory grows with the square of the resolution, so resolutions can be higher than a dense grid's.
    """

    twice_differentiable = False
    N_FEATURES = 8
    AXES = ((0, 1), (0, 2), (1, 2))

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
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
            a, b, c = F.grid_sample(plane, uv, align_corners=True, padding_mode="border")[..., 0].unbind(0)
            features.append(a * b * c)  # [C, N]
        return self.decoder(torch.cat(features).T)

    def parameter_groups(self, lr: float) -> list[dict]:
        return [
            {"params": list(self.planes), "lr": 3 * lr},  # products of three near 1 pass on small changes
            {"params": list(self.decoder.parameters()), "lr": 0.25 * lr},
        ]

    def total_variation(self) -> Tensor:
        """Mean absolute difference of neighbouring cells on the finest planes, summed over the axes."""
        fine = max(self.planes, key=lambda plane: plane.shape[-1])
        return _variation(fine, (2, 3))


class HashGrid(nn.Module):
    """Multi-resolution hash encoding (Instant-NGP, arXiv:2201.05989, Section 3) in plain PyTorch.

    Sixteen levels grow geometrically from the smallest to the largest of `resolutions`. A level that fits
    into its table is stored without collisions.
    """

    twice_differentiable = True  # piecewise: within a cell of each level
    N_LEVELS, N_FEATURES, LOG2_TABLE = 16, 2, 15
    PRIMES = (1, 2654435761, 805459861)  # Eq. 4

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        growth = (max(resolutions) / min(resolutions)) ** (1 / (self.N_LEVELS - 1))
        self.sizes = [max(2, round(min(resolutions) * growth**level)) for level in range(self.N_LEVELS)]
        rows = [min(size**3, 2**self.LOG2_TABLE) for size in self.sizes]
        self.tables = nn.ParameterList(
            nn.Parameter((torch.rand(n, self.N_FEATURES, generator=generator) * 2 - 1) * 1e-4) for n in rows
        )
        self.decoder = Decoder(self.N_LEVELS * self.N_FEATURES, generator)

    def _rows(self, corner: Tensor, size: int) -> Tensor:
        x, y, z = corner.unbind(-1)
        if size**3 <= 2**self.LOG2_TABLE:
            return (z * size + y) * size + x
        p = self.PRIMES
        return ((x * p[0]) ^ (y * p[1]) ^ (z * p[2])) & (2**self.LOG2_TABLE - 1)

    def forward(self, points: Tensor) -> Tensor:
        features = []
        for table, size in zip(self.tables, self.sizes, strict=True):
            position = (points.clamp(-1, 1) + 1) * (0.5 * (size - 1))
            low = position.floor().clamp(max=size - 2)
            fraction, low = position - low, low.long()
            level = 0.0
            for corner in range(8):
                offset = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=points.device)
                weight = torch.where(offset.bool(), fraction, 1 - fraction).prod(-1, keepdim=True)
                level = level + weight * F.embedding(self._rows(low + offset, size), table)
            features.append(level)
        return self.decoder(torch.cat(features, -1))

    def parameter_groups(self, lr: float) -> list[dict]:
        return [
            {"params": list(self.tables), "lr": lr},
            {"params": list(self.decoder.parameters()), "lr": 0.25 * lr},
        ]

    def total_variation(self) -> Tensor:
        """0: neighbouring rows of a hash table are not neighbours in space."""
        return self.tables[0].sum() * 0.0


ENCODINGS: dict[str, type[nn.Module]] = {"dense": DenseGrids, "kplanes": KPlanes, "hash": HashGrid}
# a configuration may come from a file: these bound what is allocated for it (2 GB for the dense grid)
MAX_RESOLUTIONS: dict[str, int] = {"dense": 512, "kplanes": 4096, "hash": 65536}
MAX_LEVELS = 16


def check_encoding(owner: str, encoding: str, resolutions: Sequence[int]) -> None:
    """Raise ValueError, in the name of a config, for an unknown encoding or resolutions it cannot have."""
    if encoding not in ENCODINGS:
        raise ValueError(f"{owner}: unknown encoding {encoding!r}; choose from {', '.join(ENCODINGS)}.")
    most = MAX_RESOLUTIONS[encoding]
    if not 1 <= len(resolutions) <= MAX_LEVELS or not all(2 <= r <= most for r in resolutions):
        raise ValueError(
            f"{owner}: resolutions must be 1 to {MAX_LEVELS} integers in [2, {most}] for {encoding}, got "
            f"{tuple(resolutions)}."
        )
