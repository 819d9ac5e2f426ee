"""Multi-resolution hash encoding: fine detail in little memory. On a GPU; dense grids are faster on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from .encoding import Decoder, Encoding

HASH_BITS = 15  # a table has 2 to this many rows; Instant-NGP has 14 to 24 and threestudio 19


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
    N_LEVELS, N_FEATURES = 16, 2
    PRIMES = (1, 2654435761, 805459861)  # Eq. 4
    # points at once: 2.5 KB each while they are worked on; on a CPU as many as its cache holds
    BLOCK, CPU_BLOCK = 2**17, 2**14

    # constants
    strides: Tensor  # [3, 1, levels]
    first_rows: Tensor  # [levels]
    last: Tensor  # [levels]: cells along an axis

    def __init__(self, resolutions: Sequence[int], generator: torch.Generator, hash_bits: int = HASH_BITS) -> None:
        super().__init__(resolutions, generator)
        self.n_rows = 2**hash_bits
        growth = (max(resolutions) / min(resolutions)) ** (1 / (self.N_LEVELS - 1))
        self.sizes = [max(2, round(min(resolutions) * growth**level)) for level in range(self.N_LEVELS)]
        rows = [min(size**3, self.n_rows) for size in self.sizes]
        self.tables = nn.ParameterList(
            nn.Parameter((torch.rand(n, self.N_FEATURES, generator=generator) * 2 - 1) * 1e-4) for n in rows
        )
        self.decoder = Decoder(self.N_LEVELS * self.N_FEATURES, generator)
        # sizes ascend, so the levels without collisions come first
        self.n_dense = sum(n < self.n_rows or n == size**3 for n, size in zip(rows, self.sizes, strict=True))
        strides = [
            (1, size, size**2) if level < self.n_dense else tuple(p % self.n_rows for p in self.PRIMES)
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
        # the lowest bits of a product of integers follow from their lowest bits alone
        rows = [
            x[..., dense] + y[..., dense] + z[..., dense],
            (x[..., hashed] ^ y[..., hashed] ^ z[..., hashed]) & (self.n_rows - 1),
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
