from __future__ import annotations

import math

import pytest
import torch
from tbsd_pack.tbsd_core.cameras.rays import camera_rays
from tbsd_pack.tbsd_core.priors.small_world.materials import MATERIALS
from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES
from tbsd_pack.tbsd_core.priors.small_world.world import (
    BACKGROUND,
    FOV_Y,
    occupancy,
    render_materials,
    render_truth,
    trace,
    view_cameras,
    view_of,
)

VIEW = (torch.tensor([35.0]), torch.tensor([20.0]))


def project(points: torch.Tensor, cameras, size: int) -> torch.Tensor:
    """Row and column [N, 2] of world points in the image of one camera, independent of camera_rays."""
    pose = cameras.c2w()[0]
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).unbind(-1)
    scale = 1 / math.tan(math.radians(FOV_Y) / 2)
    return torch.stack([(1 - scale * y / -z) / 2 * size, (1 + scale * x / -z) / 2 * size], -1).floor().long()


def test_trace_meets_the_sphere_where_geometry_says():
    rays_o, rays_d = (r.reshape(-1, 3) for r in camera_rays(view_cameras(*VIEW), 48, 48))
    hit, distance = trace("sphere", rays_o, rays_d)
    along = -(rays_o * rays_d).sum(-1)
    miss = ((rays_o**2).sum(-1) - along**2).sqrt()  # closest approach to the centre
    assert torch.equal(hit[(miss - 0.66).abs() > 0.004], (miss < 0.66)[(miss - 0.66).abs() > 0.004])
    clear = miss < 0.5
    expected = along - (0.66**2 - miss**2).clamp(min=0).sqrt()
    torch.testing.assert_close(distance[clear], expected[clear], atol=4e-3, rtol=0)
    assert (distance[~hit] == 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_and_occupancy_agree(shape):
    cameras = view_cameras(*VIEW)
    rays_o, rays_d = (r.reshape(-1, 3) for r in camera_rays(cameras, 64, 64))
    hit, distance = trace(shape, rays_o, rays_d)
    surface = rays_o + rays_d * distance[:, None]
    assert hit.float().mean() > 0.08
    assert occupancy(shape, (surface + 0.02 * rays_d)[hit]).float().mean() > 0.95  # grazing rays leave at once
    assert not occupancy(shape, (surface - 0.02 * rays_d)[hit]).any()
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    deep = points[SHAPES[shape](points) < -0.05]  # deeper than a pixel, so that its whole pixel is object
    row, column = project(deep, cameras, 64).unbind(-1)
    assert len(deep) > 50 and (render_truth(shape, "brick", cameras).mask[0, 0, row, column] == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_fit_into_the_unit_ball(shape):
    points = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    assert not occupancy(shape, torch.nn.functional.normalize(points, dim=-1)).any()


@pytest.mark.parametrize(
    "azimuth, elevation, view",
    [(0, 0, "front"), (44, 10, "front"), (-44, 10, "front"), (360, 10, "front"), (90, 10, "side"), (-90, 10, "side")]
    + [(46, 59, "side"), (134, 0, "side"), (136, 0, "back"), (180, 20, "back"), (-180, 0, "back"), (0, 60, "overhead")],
)
def test_view_word(azimuth, elevation, view):
    assert view_of(azimuth, elevation) == view


def test_truth_has_the_documented_shapes_and_ranges():
    truth = render_truth("torus", "wooden", view_cameras(torch.tensor([0.0, 90.0]), torch.tensor([10.0, 10.0])), 32)
    assert truth.images.shape == (2, 3, 32, 32) and truth.mask.shape == truth.depth.shape == (2, 1, 32, 32)
    assert truth.images.min() >= 0 and truth.images.max() <= 1 and truth.mask.unique().numel() > 2
    inside = truth.depth[truth.mask > 0]
    assert inside.min() > 2 and inside.max() < 4 and (truth.depth[truth.mask == 0] == 0).all()
    torch.testing.assert_close(truth.images[:, :, 0, 0], torch.tensor([BACKGROUND, BACKGROUND]))
    assert truth.mask[0, 0, 15:17, 15:17].max() == 0  # the hole of the ring faces the front
    assert truth.mask[1, 0, 15:17, 15:17].min() == 1


def test_the_house_shows_its_door_in_front_only():
    images = render_truth("house", "brick", view_cameras(torch.tensor([0.0, 180.0]), torch.tensor([0.0, 0.0]))).images
    row, column = project(torch.tensor([[0.0, -0.4, 0.42]]), view_cameras(torch.zeros(1), torch.zeros(1)), 64)[0]
    front, back = images[0, :, row, column], images[1, :, row, column]
    assert front.max() < 0.35 < back.max()
    assert (images[0] - images[1]).abs().mean() > 0.01


def test_every_material_looks_different_and_shares_the_mask():
    images, mask, _ = render_materials("sphere", list(MATERIALS), view_cameras(*VIEW), 32)
    assert images.shape == (len(MATERIALS), 1, 3, 32, 32)
    for i, a in enumerate(images):
        for b in images[i + 1 :]:
            assert ((a - b).abs().sum(1) * mask[:, 0]).sum() / mask.sum() > 0.1
            assert torch.equal(a[:, :, mask[0, 0] == 0], b[:, :, mask[0, 0] == 0])
