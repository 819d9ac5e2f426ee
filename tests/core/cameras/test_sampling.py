from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.pose import Cameras
from tbsd_pack.tbsd_core.cameras.rays import camera_rays
from tbsd_pack.tbsd_core.cameras.sampling import (
    CAMERA_PRESETS,
    CameraConfig,
    camera_preset,
    orbit,
    sample_cameras,
    view_name,
)
from tbsd_pack.tbsd_core.rng import named_generator


def camera(azimuth: float, elevation: float) -> Cameras:
    return Cameras(*(torch.tensor([v]) for v in (azimuth, elevation, 3.0, 36.0)))


@pytest.mark.parametrize(
    ("azimuth", "elevation", "position"),
    [(0, 0, (0, 0, 3)), (90, 0, (3, 0, 0)), (180, 0, (0, 0, -3)), (-90, 0, (-3, 0, 0)), (0, 90, (0, 3, 0))],
)
def test_positions_follow_the_convention(azimuth, elevation, position):
    c2w = camera(float(azimuth), float(elevation)).c2w()[0]
    assert torch.allclose(c2w[:3, 3], torch.tensor(position, dtype=torch.float32), atol=1e-6)
    assert torch.allclose(c2w[:3, :3].T @ c2w[:3, :3], torch.eye(3), atol=1e-6)
    assert torch.linalg.det(c2w[:3, :3]) == pytest.approx(1, abs=1e-5)


def test_front_camera_sees_plus_x_right_and_plus_y_up():
    rays_o, rays_d = camera_rays(camera(0.0, 0.0), 4, 4)
    assert rays_d[0, 0, 0, 0] < 0 < rays_d[0, 0, -1, 0]
    assert rays_d[0, -1, 0, 1] < 0 < rays_d[0, 0, 0, 1]


def test_rays_agree_with_projection():
    """Points on rays, projected by the inverse pose and the pinhole formula, land on their pixel centres."""
    cameras = Cameras(
        torch.tensor([20.0, -130.0]), torch.tensor([10.0, 50.0]), torch.tensor([3.0, 2.0]), torch.tensor([36.0, 60.0])
    )
    height, width = 6, 8
    rays_o, rays_d = camera_rays(cameras, height, width)
    points = rays_o + 2.3 * rays_d
    w2c = torch.linalg.inv(cameras.c2w())
    local = torch.einsum("bij,bhwj->bhwi", w2c[:, :3, :3], points) + w2c[:, None, None, :3, 3]
    focal = height / 2 / torch.tan(torch.deg2rad(cameras.fov_y) / 2)
    x = width / 2 + focal[:, None, None] * local[..., 0] / -local[..., 2]
    y = height / 2 - focal[:, None, None] * local[..., 1] / -local[..., 2]
    assert torch.allclose(x, (torch.arange(width) + 0.5).expand_as(x), atol=1e-4)
    assert torch.allclose(y, (torch.arange(height) + 0.5)[:, None].expand_as(y), atol=1e-4)


def test_stratified_views_leave_no_large_gap():
    for step in range(20):
        cameras = sample_cameras(CameraConfig(), 4, named_generator(0, "camera", step))
        angles = cameras.azimuth.sort().values
        gaps = torch.cat([angles.diff(), angles[:1] + 360 - angles[-1:]])
        assert gaps.max() <= 90 * 1.5 + 1e-3
        assert gaps.min() >= 90 * 0.5 - 1e-3


@pytest.mark.parametrize("stratified", [True, False])
def test_samples_fill_their_ranges_uniformly(stratified):
    config = CameraConfig(azimuth_min=-60, azimuth_max=120, elevation_min=10, elevation_max=30, stratified=stratified)
    cameras = [sample_cameras(config, 4, named_generator(1, "camera", step)) for step in range(200)]
    azimuth = torch.cat([c.azimuth for c in cameras])
    elevation = torch.cat([c.elevation for c in cameras])
    assert azimuth.min() >= -60 and azimuth.max() <= 120
    assert elevation.min() >= 10 and elevation.max() <= 30
    assert azimuth.mean() == pytest.approx(30, abs=6) and azimuth.std() == pytest.approx(180 / 12**0.5, rel=0.06)
    assert elevation.mean() == pytest.approx(20, abs=1)


def test_same_generator_same_cameras():
    a, b = (sample_cameras(CameraConfig(), 3, named_generator(5, "camera", 2)) for _ in range(2))
    assert torch.equal(a.azimuth, b.azimuth) and torch.equal(a.elevation, b.elevation)


def test_orbit_is_one_turn_from_the_front():
    assert orbit(4).azimuth.tolist() == [0, 90, 180, 270]
    assert len(orbit(7)) == 7


@pytest.mark.parametrize(
    ("azimuth", "elevation", "name"),
    [
        (0, 0, "front"),
        (-45, 0, "front"),
        (315, 59, "front"),
        (46, 0, "side"),
        (-100, 0, "side"),
        (135, 0, "back"),
        (540, 0, "back"),
        (10, 60, "overhead"),
    ],
)
def test_view_names(azimuth, elevation, name):
    assert view_name(azimuth, elevation) == name


@pytest.mark.parametrize("azimuth, name", [(30, "front"), (31, "side"), (149, "side"), (-150, "back"), (180, "back")])
def test_the_front_can_be_narrower(azimuth, name):
    assert view_name(azimuth, 0, front=30.0) == name


def test_distances_and_lenses_are_drawn_from_their_ranges_and_change_nothing_else():
    plain = CameraConfig(distance=1.5, fov_y=40.0)
    drawn = sample_cameras(replace(plain, distance_max=2.0, fov_y_max=70.0), 400, named_generator(0, "camera"))
    same = sample_cameras(plain, 400, named_generator(0, "camera"))
    assert torch.equal(drawn.azimuth, same.azimuth) and torch.equal(drawn.elevation, same.elevation)
    for values, low, high in ((drawn.distance, 1.5, 2.0), (drawn.fov_y, 40.0, 70.0)):
        assert low <= values.min() < low + 0.05 * (high - low) and high - 0.05 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, rel=0.02)
    for nearest in (3.0, 9.0):
        assert CameraConfig(distance=nearest, distance_max=12.0 - nearest).farthest == (9.0, 36.0)
    assert CameraConfig(fov_y_max=60.0).farthest == (3.0, 60.0)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"azimuth_min": 10, "azimuth_max": 0}, "azimuth range"),
        ({"azimuth_max": 300}, "azimuth range"),
        ({"elevation_min": 50}, "elevation range"),
        ({"elevation_max": 91}, r"elevation_max must be in \[-90, 90\], got 91"),
        ({"distance": 0}, "distance must be > 0"),
        ({"fov_y": 180}, r"fov_y must be in \(0, 180\)"),
        ({"distance_max": 0.0}, "distance_max must be > 0 or None, got 0"),
        ({"front": 90.0}, r"front must be in \(0, 90\)"),
    ],
)
def test_wrong_ranges_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        CameraConfig(**wrong)


@pytest.mark.parametrize("name", CAMERA_PRESETS)
def test_presets_keep_the_object_in_the_picture_and_their_words(name):
    """The unit ball fills between two thirds and all of the picture's height."""
    config = camera_preset(name)
    cameras = sample_cameras(config, 64, named_generator(0, "camera"))
    half_angle = torch.rad2deg(torch.asin(1 / cameras.distance))
    assert ((0.65 < half_angle / (cameras.fov_y / 2)) & (half_angle / (cameras.fov_y / 2) < 1.1)).all()
    sides = {view_name(a, e) for a, e in zip(cameras.azimuth.tolist(), cameras.elevation.tolist(), strict=True)}
    assert "front" in sides and ("back" in sides) == (name != "front half")
    assert ("overhead" in sides) == (name in ("from above", "everywhere"))


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match="'below'.*eye level"):
        camera_preset("below")


def test_moved_cameras_keep_what_is_known_of_them():
    """On a device without values, which shows the shapes and that nothing is worked out again."""
    cameras = orbit(3, 20.0)
    assert cameras.to("cpu") is cameras
    moved = cameras.to("meta")
    assert moved.to("meta") is moved and moved.c2w() is moved.c2w()
    assert moved.c2w().shape == (3, 4, 4) and moved.tan_half_fov().shape == moved.azimuth.shape == (3,)
    assert moved[1:].c2w().shape == (2, 4, 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_matrices_are_the_same_on_cuda():
    cameras = orbit(3, 20.0)
    assert torch.equal(cameras.to("cuda").c2w().cpu(), cameras.c2w())
    assert torch.equal(cameras.to("cuda").fov_y.cpu(), cameras.fov_y)
