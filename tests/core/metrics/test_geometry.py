from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core.metrics import occupancy_iou
from tbsd_pack.tbsd_core.metrics.geometry import mesh_occupancy_iou
from tbsd_pack.tbsd_core.priors.small_world.world import occupancy
from tbsd_pack.tbsd_core.sample_meshes import sample_mesh


class Ball:
    """A scene of density 10 inside a ball, hollow where asked."""

    def __init__(self, radius: float, hollow: float = 0.0, bound: float = 1.0) -> None:
        self.radius, self.hollow, self.bound = radius, hollow, bound

    def density(self, points: torch.Tensor) -> torch.Tensor:
        r = points.norm(dim=-1)
        return 10.0 * ((r < self.radius) & (r >= self.hollow))

    def albedo(self, points: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(points)


def ball(radius: float):
    return lambda points: points.norm(dim=-1) < radius


def test_perfect_agreement_even_of_a_hollow_scene():
    assert occupancy_iou(Ball(0.6), 5.0, ball(0.6), 32) == 1.0
    assert occupancy_iou(Ball(0.6, hollow=0.4), 5.0, ball(0.6), 32) == 1.0


@pytest.mark.parametrize("radius", [0.4, 0.8])
def test_a_wrong_radius_costs_the_ratio_of_volumes(radius):
    small, large = sorted((radius, 0.6))
    assert abs(occupancy_iou(Ball(radius), 5.0, ball(0.6), 64) - (small / large) ** 3) < 0.02


def test_nothing_agrees_with_nothing_and_the_threshold_counts():
    assert occupancy_iou(Ball(0.0), 5.0, ball(0.6), 16) == 0.0
    assert occupancy_iou(Ball(0.6), 20.0, ball(0.6), 16) == 0.0


@pytest.mark.parametrize("shape", ["torus", "cube", "house"])
def test_a_mesh_of_the_true_object_encloses_the_true_solid(shape):
    mesh = sample_mesh(shape, 48)
    assert mesh_occupancy_iou(mesh, 1.0, lambda p: occupancy(shape, p), 48) > 0.93
    moved = replace(mesh, vertices=mesh.vertices + np.float32([0.3, 0, 0]))
    assert mesh_occupancy_iou(moved, 1.0, lambda p: occupancy(shape, p), 48) < 0.75
