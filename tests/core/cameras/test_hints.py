"""Hints against closed form: a plane and a sphere at a known distance."""

from __future__ import annotations

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.hints import FARTHEST, depth_hint, normal_hint
from tbsd_pack.tbsd_core.cameras.pose import Cameras
from tbsd_pack.tbsd_core.cameras.rays import camera_rays, ray_lengths

SIZE, RADIUS = 33, 0.66


def camera(*azimuths: float, elevation: float = 20.0) -> Cameras:
    n = len(azimuths)
    rest = (torch.full((n,), v) for v in (elevation, 3.0, 40.0))
    return Cameras(torch.tensor(azimuths), *rest)


def sphere(cameras: Cameras) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distance along the ray, opacity and world normals of a sphere at the origin."""
    rays_o, rays_d = camera_rays(cameras, SIZE, SIZE)
    b = (rays_o * rays_d).sum(-1)
    inside = b**2 - (rays_o**2).sum(-1) + RADIUS**2
    hit = inside > 0
    t = torch.where(hit, -b - inside.clamp(min=0).sqrt(), torch.zeros_like(b))
    normal = torch.where(hit[..., None], (rays_o + t[..., None] * rays_d) / RADIUS, torch.zeros_like(rays_d))
    return t[:, None], hit[:, None].float(), normal.movedim(-1, 1)


def test_a_plane_across_the_view_has_one_grey():
    cameras = camera(30.0)
    depth = 2.5 * ray_lengths(cameras, SIZE, SIZE)
    ones = torch.ones_like(depth)
    assert torch.allclose(depth_hint(depth, ones, cameras), torch.ones(1, 3, SIZE, SIZE))


def test_a_tilted_plane_is_spread_linearly_in_inverse_depth():
    """Inverse depth of a plane is linear on the screen; its nearest column is white, its farthest is FARTHEST."""
    cameras = camera(0.0)
    inverse = torch.linspace(0.2, 0.6, SIZE).expand(1, 1, SIZE, SIZE)
    hint = depth_hint(ray_lengths(cameras, SIZE, SIZE) / inverse, torch.ones(1, 1, SIZE, SIZE), cameras)
    expected = torch.linspace(FARTHEST, 1, SIZE).expand(1, 3, SIZE, SIZE)
    assert torch.allclose(hint, expected, atol=1e-5)


def test_a_sphere_by_its_formula():
    cameras = camera(0.0, 130.0)
    depth, opacity, _ = sphere(cameras)
    hint = depth_hint(depth, opacity, cameras)
    # along the axis the sphere begins at distance - radius; each view is spread on its own, and all are alike
    along = depth / ray_lengths(cameras, SIZE, SIZE)
    assert float(along[:, 0, SIZE // 2, SIZE // 2].max()) == pytest.approx(3 - RADIUS, abs=1e-5)
    inverse, solid = 1 / along, opacity > 0
    low = inverse[solid].min()
    expected = FARTHEST + (1 - FARTHEST) * (inverse - low) / (inverse[solid].max() - low)
    assert torch.allclose(hint[:, :1][solid], expected[solid], atol=1e-4)
    assert float(hint[:, :, SIZE // 2, SIZE // 2].min()) == 1.0
    assert not hint[:, :1][~solid].any()
    assert torch.equal(hint[:, 0], hint[:, 2]) and hint.shape == (2, 3, SIZE, SIZE)


def test_nothing_in_view_is_black():
    zero = torch.zeros(1, 1, 4, 4)
    assert not depth_hint(zero, zero, camera(0.0)).any()


def test_the_normals_of_a_sphere_turn_with_the_camera():
    """Seen from anywhere: the middle faces the camera, the left is red, the top green."""
    cameras = camera(0.0, 75.0, 180.0)
    _, opacity, normal = sphere(cameras)
    hint = normal_hint(normal, opacity, cameras)
    middle = torch.tensor([0.5, 0.5, 1.0])
    assert torch.allclose(hint[:, :, SIZE // 2, SIZE // 2], middle.expand(3, 3), atol=1e-5)
    row, column = hint[:, :, SIZE // 2], hint[:, :, :, SIZE // 2]
    seen = opacity[0, 0, SIZE // 2].nonzero()[:, 0]
    left, right = row[:, :, seen[0]], row[:, :, seen[-1]]
    assert float(left[:, 0].min()) > 0.85 and float(right[:, 0].max()) < 0.15
    assert float(column[:, 1, seen[0]].min()) > 0.85, "the sphere is round: the same rows as columns"
    assert torch.allclose(hint[0], hint[2], atol=1e-5)
    assert not hint[:, :, 0, 0].any()


def test_hints_carry_no_gradient():
    cameras = camera(0.0)
    depth, opacity, normal = (x.requires_grad_() for x in sphere(cameras))
    assert not depth_hint(depth, opacity, cameras).requires_grad
    assert not normal_hint(normal, opacity, cameras).requires_grad
