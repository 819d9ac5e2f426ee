"""Trainable functions of position: points in [-1, 1]^3 -> 4 raw values (density logit, 3 colour logits).

An encoding is one class and one line in ENCODINGS. On a CPU the grids that `grid_sample` reads are about five
times faster than a hash grid of 16 levels; the hash grid is there for fine detail on a GPU.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..settings import setting

N_RAW = 4


def _normal(shape: Sequence[int], std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=generator) * std)


class Encoding(nn.Module, ABC):
    """A trainable function of position, made of the resolutions of its levels and the generator of its start."""

    twice_differentiable: ClassVar[bool] = False  # by its points

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, points: Tensor) -> Tensor:
        """Raw values [N, 4] at points [N, 3]."""

    @abstractmethod
    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Parameter groups for torch.optim, each with its own learning rate derived from `lr`."""

    @abstractmethod
    def total_variation(self) -> Tensor:
        """Mean absolute difference of neighbours on the finest level, summed over the axes."""


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


class DenseGrids(Encoding):
    """Sum of dense voxel grids of several resolutions, read by trilinear interpolation.

    The levels are added up on the finest grid before it is read, so that any number of levels costs one
    look-up per point. Where each resolution minus one divides the next one's, as in (17, 49), that equals
    reading every level by itself. All values start at 0: the scene's density prior is the initial shape.
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


class _Interpolation(torch.autograd.Function):
    """sum_k weights_k table[rows_k] over the corners k; all sums of one pass are one kernel each way.

    A row of two numbers is read and written as one complex one: on a CPU that is four times as fast.
    """

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,  # [T, 2]
        rows: Tensor,  # [8, M] int32
        weights: Tensor,  # [8, M]
    ) -> Tensor:  # [M, 2]
        ctx.save_for_backward(table, rows, weights)
        return _look_up(table, rows).mul_(weights[..., None]).sum(0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor | None]:
        table, rows, weights = ctx.saved_tensors  # operations on them can be differentiated again
        shares = torch.view_as_complex(grad * weights[..., None]).flatten()
        summed = shares.new_zeros(len(table)).index_add(0, rows.flatten(), shares)
        for_weights = (_look_up(table, rows) * grad).sum(-1) if ctx.needs_input_grad[2] else None
        return torch.view_as_real(summed), None, for_weights


def _look_up(table: Tensor, rows: Tensor) -> Tensor:
    """Rows [..., 2] of a table [T, 2]."""
    found = torch.view_as_complex(table).index_select(0, rows.flatten())
    return torch.view_as_real(found).view(*rows.shape, 2)


class HashGrid(Encoding):
    """Multi-resolution hash encoding (Instant-NGP, arXiv:2201.05989, Section 3) in plain PyTorch.

    Sixteen levels grow geometrically from the smallest to the largest of `resolutions`. A level that fits
    into its table is stored without collisions.
    """

    twice_differentiable = True  # piecewise: within a cell of each level
    N_LEVELS, N_FEATURES, LOG2_TABLE = 16, 2, 15
    PRIMES = (1, 2654435761, 805459861)  # Eq. 4
    # points at once: 2.5 KB each while they are worked on; on a CPU as many as its cache holds
    BLOCK, CPU_BLOCK = 2**17, 2**14

    # constants
    strides: Tensor  # [3, 1, levels]
    first_rows: Tensor  # [levels]
    last: Tensor  # [levels]: cells along an axis

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator) -> None:
        super().__init__(resolutions, generator)
        growth = (max(resolutions) / min(resolutions)) ** (1 / (self.N_LEVELS - 1))
        self.sizes = [max(2, round(min(resolutions) * growth**level)) for level in range(self.N_LEVELS)]
        rows = [min(size**3, 2**self.LOG2_TABLE) for size in self.sizes]
        self.tables = nn.ParameterList(
            nn.Parameter((torch.rand(n, self.N_FEATURES, generator=generator) * 2 - 1) * 1e-4) for n in rows
        )
        self.decoder = Decoder(self.N_LEVELS * self.N_FEATURES, generator)
        # sizes ascend, so the levels without collisions come first
        self.n_dense = sum(n < 2**self.LOG2_TABLE or n == size**3 for n, size in zip(rows, self.sizes, strict=True))
        strides = [
            (1, size, size**2) if level < self.n_dense else tuple(p % 2**self.LOG2_TABLE for p in self.PRIMES)
            for level, size in enumerate(self.sizes)
        ]
        constants = {
            "strides": torch.tensor(strides, dtype=torch.int32).T[:, None].contiguous(),
            "first_rows": torch.tensor([0, *accumulate(rows[:-1])], dtype=torch.int32),
            "last": torch.tensor(self.sizes) - 1.0,
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def _corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of all tables in one and trilinear weights, [8, N * levels] each, of the corners around the points."""
        position = (points.T.clamp(-1, 1) + 1)[..., None] * (0.5 * self.last)  # [3, N, levels]
        low = position.detach().floor().minimum(self.last - 1)
        fraction = position - low
        near = low.int() * self.strides
        x, y, z = torch.stack([near, near + self.strides], 1)  # [2, N, levels] each, for the near and the far corner
        y, z = y[:, None], z[:, None, None]
        dense, hashed = slice(0, self.n_dense), slice(self.n_dense, None)
        # the lowest bits of a product of integers are those of the product of their lowest bits
        rows = [
            x[..., dense] + y[..., dense] + z[..., dense],
            (x[..., hashed] ^ y[..., hashed] ^ z[..., hashed]) & (2**self.LOG2_TABLE - 1),
        ]
        along_x, along_y, along_z = torch.stack([1 - fraction, fraction], 1)
        weights = along_x * along_y[:, None] * along_z[:, None, None]
        return (torch.cat(rows, -1) + self.first_rows).view(8, -1), weights.view(8, -1)

    def forward(self, points: Tensor) -> Tensor:
        table = torch.cat(list(self.tables))
        blocks = points.split(self.CPU_BLOCK if points.device.type == "cpu" else self.BLOCK)
        features = [_Interpolation.apply(table, *self._corners(block)) for block in blocks]
        return self.decoder(torch.cat(features).view(-1, self.N_LEVELS * self.N_FEATURES))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [
            {"params": list(self.tables), "lr": lr},
            {"params": list(self.decoder.parameters()), "lr": 0.25 * lr},
        ]

    def total_variation(self) -> Tensor:
        """0: neighbouring rows of a hash table are not neighbours in space."""
        return self.tables[0].new_zeros(())


ENCODINGS: dict[str, type[Encoding]] = {"dense": DenseGrids, "kplanes": KPlanes, "hash": HashGrid}
# a configuration may come from a file: these bound what is allocated for it (2 GB for the dense grid)
MAX_RESOLUTIONS: dict[str, int] = {"dense": 512, "kplanes": 4096, "hash": 65536}
MAX_LEVELS = 16


def encoding_setting(what: str, **hint: Any) -> Any:
    """The field `encoding` of a configuration; `what` is stored, as in "the volume is"."""
    which = "Dense grids are the fastest on a CPU; planes and hash grids hold finer detail in less memory."
    return setting("dense", f"How {what} stored. {which}", choices=tuple(ENCODINGS), **hint)


def resolutions_setting(levels: tuple[int, ...], tooltip: str, **hint: Any) -> Any:
    """The field `resolutions`, grid points per axis of each level. A widget shows the finest one, and what it says
    stands above those coarser ones of the default that are smaller."""
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
