"""The encodings against formulas that go level by level and corner by corner."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tbsd_pack.tbsd_core.scenes.encodings import ENCODINGS, DenseGrids, KPlanes
from tbsd_pack.tbsd_core.scenes.hash_grid import HashGrid

P2, P3 = 2654435761, 805459861


def filled(encoding: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return encoding.double()


def some_points(n: int) -> torch.Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2.4 - 1.2


def hash_features(grid: HashGrid, points: torch.Tensor) -> torch.Tensor:
    """Oracle: Instant-NGP, Section 3, with Python's integers."""
    rows = []
    for point in points.clamp(-1, 1):
        features = []
        for table, size in zip(grid.tables, grid.sizes, strict=True):
            place = (point + 1) / 2 * (size - 1)
            low = [min(int(v), size - 2) for v in place.tolist()]
            level = torch.zeros(2, dtype=torch.float64)
            for corner in range(8):
                bits = [corner >> axis & 1 for axis in range(3)]
                x, y, z = (a + b for a, b in zip(low, bits, strict=True))
                row = (z * size + y) * size + x if size**3 <= grid.n_rows else (x ^ y * P2 ^ z * P3) % grid.n_rows
                weight = torch.ones((), dtype=torch.float64)
                for axis in range(3):
                    part = place[axis] - low[axis]
                    weight = weight * (part if bits[axis] else 1 - part)
                level = level + weight * table[row]
            features.append(level)
        rows.append(torch.cat(features))
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("resolutions", "bits"), [((4, 300), 15), ((40, 64), 15), ((3, 9), 15), ((16, 65536), 15), ((16, 4096), 9)]
)
def test_hash_grid_equals_a_loop_over_levels_and_corners(resolutions, bits, monkeypatch):
    """Values and gradients, in the tables and in the points, with collisions in all, some and no levels."""
    monkeypatch.setattr(HashGrid, "CPU_BLOCK", 7)
    grid = filled(HashGrid(resolutions, torch.Generator(), bits))
    points = some_points(12).requires_grad_()
    found, expected = grid(points), grid.decoder(hash_features(grid, points))
    assert torch.allclose(found, expected, atol=1e-12)
    wanted = [points, *grid.parameters()]
    for a, b in zip(
        torch.autograd.grad(found.sin().sum(), wanted), torch.autograd.grad(expected.sin().sum(), wanted), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-9)


def test_the_slope_of_a_hash_grid_has_a_gradient():
    """Analytic normals need the second derivative, of autograd through the plain loop."""
    grid = filled(HashGrid((4, 100), torch.Generator()))
    points = some_points(6).requires_grad_()
    second = []
    for value in (grid(points), grid.decoder(hash_features(grid, points))):
        (slope,) = torch.autograd.grad(value.sin().sum(), points, create_graph=True)
        second.append(torch.autograd.grad(slope.square().sum(), [points, *grid.tables]))
    assert all(torch.allclose(a, b, rtol=1e-7, atol=1e-7) for a, b in zip(*second, strict=True))
    assert second[0][1].abs().max() > 0


def test_planes_equal_a_product_of_bilinear_look_ups():
    planes = filled(KPlanes((4, 7), torch.Generator()))
    points = (some_points(9) * 0.8).requires_grad_()
    features = []
    for plane in planes.planes:
        r, product = plane.shape[-1], 1.0
        for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
            place = (points[:, [i, j]] + 1) / 2 * (r - 1)
            low = place.detach().floor().clamp(max=r - 2).long()
            (u, v), (x, y) = (place - low).T, low.T
            p = plane[k]
            top = p[:, y, x] * (1 - u) + p[:, y, x + 1] * u
            product = product * (top * (1 - v) + (p[:, y + 1, x] * (1 - u) + p[:, y + 1, x + 1] * u) * v)
        features.append(product.T)
    expected, found = planes.decoder(torch.cat(features, -1)), planes(points)
    assert torch.allclose(found, expected, atol=1e-12)
    wanted = [points, *planes.parameters()]
    for a, b in zip(
        torch.autograd.grad(found.sin().sum(), wanted), torch.autograd.grad(expected.sin().sum(), wanted), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-9)


@pytest.mark.parametrize(
    ("encoding", "axes"), [(DenseGrids((3, 6), torch.Generator()), 3), (KPlanes((5,), torch.Generator()), 2)]
)
def test_total_variation_is_the_mean_difference_of_neighbours(encoding, axes):
    filled(encoding)
    fine = list(encoding.parameters())[axes == 3]
    found = encoding.total_variation()
    expected = sum(
        (fine.narrow(a, 1, fine.shape[a] - 1) - fine.narrow(a, 0, fine.shape[a] - 1)).abs().mean()
        for a in range(2, 2 + axes)
    )
    assert torch.allclose(found, expected)
    assert torch.allclose(*(torch.autograd.grad(2 * v, fine)[0] for v in (found, expected)))


@pytest.mark.parametrize("name", ENCODINGS)
def test_no_points_have_no_values_and_constants_are_not_saved(name):
    encoding = ENCODINGS[name]((4, 8), torch.Generator())
    assert encoding(torch.zeros(0, 3)).shape == (0, 4)
    assert encoding.state_dict().keys() == {n for n, _ in encoding.named_parameters()}


def test_any_number_of_points_on_any_number_of_threads():
    """Points are shared out among threads in equal parts, padded where they do not divide."""
    grids = filled(DenseGrids((3, 5), torch.Generator()))
    points, before = some_points(11), torch.get_num_threads()
    try:
        values = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            values.append(grids(points))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(values[0], v) for v in values[1:])
    assert values[0].shape == F.linear(points, torch.zeros(4, 3, dtype=points.dtype)).shape
