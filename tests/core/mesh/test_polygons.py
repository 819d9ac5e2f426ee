"""Polygons as triangles: the whole area, nothing turned over, whatever corner they begin with."""

from __future__ import annotations

import numpy as np
import pytest

from tbsd_core.mesh import polygons
from tbsd_core.mesh.polygons import ears, triangulated

L = [[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]]
ARROW = [[0, 0], [2, 0], [0.5, 0.5], [0, 2]]
CROSS = [[1, 0], [2, 0], [2, 1], [3, 1], [3, 2], [2, 2], [2, 3], [1, 3], [1, 2], [0, 2], [0, 1], [1, 1]]
SQUARE = [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1], [3, 3], [1, 3], [0, 3], [0, 2], [0, 1]]  # corners on its edges
FRAME = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]  # a cut leads to its hole
SHAPES = {
    "L": L,
    "arrow": ARROW,
    "cross": CROSS,
    "square": SQUARE,
    "frame": FRAME,
    "quad": [[0, 0], [2, 0], [3, 2], [0, 1]],
}
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]


def in_space(shape: list) -> np.ndarray:
    return np.pad(np.array(shape, dtype=np.float64), ((0, 0), (0, 1))) @ TURN.T + [5, -2, 3]


def area(shape: list) -> float:
    x, y = np.array(shape, dtype=np.float64).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def signed_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a) @ np.cross(TURN[:, 0], TURN[:, 1]) / 2


@pytest.mark.parametrize("name", SHAPES)
def test_the_whole_area_is_covered_once_whatever_corner_is_first(name):
    for first in range(len(SHAPES[name])):
        shape = np.roll(SHAPES[name], first, axis=0).tolist()
        corners = np.arange(len(shape))
        triangles, _ = triangulated(in_space(shape), corners, np.array([len(shape)]))
        found = signed_areas(in_space(shape), triangles)
        assert len(found) == len(shape) - 2 and (found > 1e-9).all(), (first, found)
        assert found.sum() == pytest.approx(area(shape))


def test_random_outlines_are_covered_once():
    random = np.random.default_rng(1)
    for n in range(4, 60):
        angles = (np.arange(n) + random.random(n) * 0.9) / n * 2 * np.pi
        outline = (np.stack([np.cos(angles), np.sin(angles)], -1) * random.uniform(0.1, 1, (n, 1))).tolist()
        found = signed_areas(in_space(outline), ears(np.array(outline)))
        assert (found > 0).all() and found.sum() == pytest.approx(area(outline))


def test_polygons_of_all_kinds_keep_their_order_and_their_corners():
    vertices = np.concatenate([in_space(L), in_space(ARROW)])
    corners = np.array([0, 1, 2, *range(6), 0, 1, *range(6, 10), 3, 4, 5])
    counts = np.array([3, 6, 2, 4, 3])
    triangles, n_too_large = triangulated(vertices, corners, counts)
    owner = np.repeat(np.arange(5), counts)[triangles]
    assert (owner == owner[:, :1]).all() and owner[:, 0].tolist() == [0, 1, 1, 1, 1, 3, 3, 4] and n_too_large == 0
    assert signed_areas(vertices, corners[triangles])[1:7] @ np.ones(6) == pytest.approx(area(L) + area(ARROW))


def test_convex_polygons_are_fans_and_triangles_stay():
    corners = np.array([3, 1, 2, 0, 1, 2, 3])
    assert triangulated(np.zeros((4, 3)), corners[:3], np.array([3]))[0].tolist() == [[0, 1, 2]]
    square = in_space([[0, 0], [1, 0], [1, 1], [0, 1]])
    assert triangulated(square, corners, np.array([3, 4]))[0].tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 6]]


@pytest.mark.parametrize("shape", [[[0, 0], [1, 1], [1, 0], [0, 1]], [[0, 0]] * 5, [[0, 0], [1, 0], [2, 0], [3, 0]]])
def test_outlines_that_cross_themselves_or_have_no_area_end(shape):
    triangles, _ = triangulated(in_space(shape), np.arange(len(shape)), np.array([len(shape)]))
    assert triangles.shape == (len(shape) - 2, 3)
    assert ears(np.array(shape, dtype=np.float64)).shape == (len(shape) - 2, 3)


def test_polygons_of_too_many_corners_are_counted(monkeypatch):
    monkeypatch.setattr(polygons, "MAX_CORNERS", 8)
    triangles, n_too_large = triangulated(in_space(CROSS), np.arange(12), np.array([12]))
    assert triangles.shape == (10, 3) and n_too_large == 1
