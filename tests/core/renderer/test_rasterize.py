from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.cameras.rays import camera_rays
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.renderer import rasterize as module
from tbsd_pack.tbsd_core.renderer.rasterize import interpolate, project, rasterize


def tensors(mesh: trimesh.Trimesh) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(np.asarray(mesh.vertices), dtype=torch.float32), torch.tensor(np.asarray(mesh.faces))


@pytest.fixture(scope="module")
def torus():
    return trimesh.creation.torus(0.6, 0.25, major_sections=24, minor_sections=12)


def test_pixels_see_the_face_that_their_ray_hits_first(torus):
    cameras, size = orbit(3, 30.0), 24
    vertices, faces = tensors(torus)
    found = rasterize(project(cameras, vertices, size, size), faces, size, size)
    rays_o, rays_d = (r.reshape(-1, 3).double().numpy() for r in camera_rays(cameras, size, size))
    hits = trimesh.ray.ray_triangle.RayMeshIntersector(torus).intersects_location(rays_o, rays_d, multiple_hits=True)
    expected = np.full((len(rays_o), 3), np.nan)
    nearest = np.full(len(rays_o), np.inf)
    for place, ray in zip(hits[0], hits[1], strict=True):
        distance = np.linalg.norm(place - rays_o[ray])
        if distance < nearest[ray]:
            nearest[ray], expected[ray] = distance, place
    hit = np.isfinite(nearest)
    assert 100 < hit.sum() < hit.size
    seen = (found.face >= 0).flatten().numpy()
    assert (seen == hit).mean() > 0.999  # a ray through an edge may go either way
    place = interpolate(vertices, faces, found).view(-1, 3).numpy()
    both = seen & hit
    assert np.abs(place[both] - expected[both]).max() < 1e-3


def test_depth_and_barycentrics_are_those_of_the_place_seen(torus):
    cameras, size = orbit(2, 10.0), 32
    vertices, faces = tensors(torus)
    found = rasterize(project(cameras, vertices, size, size), faces, size, size)
    hit = found.face >= 0
    place = interpolate(vertices, faces, found)
    forward, eye = -cameras.c2w()[:, :3, 2], cameras.c2w()[:, :3, 3]
    depth = ((place - eye[:, None, None]) * forward[:, None, None]).sum(-1)
    assert torch.allclose(depth[hit], found.depth[hit], atol=1e-4)
    assert torch.allclose(found.barycentric[hit].sum(-1), torch.ones(int(hit.sum())), atol=1e-5)
    assert found.barycentric[~hit].abs().max() == 0 and found.depth[~hit].max() == 0
    # projecting the place leads back to the pixel
    _, py, px = hit.nonzero(as_tuple=True)
    for view in range(2):
        of_view = hit.nonzero()[:, 0] == view
        back = project(cameras[view : view + 1], place[hit][of_view], size, size)[0, :, :2]
        centres = torch.stack([px, py], -1)[of_view] + 0.5
        assert torch.allclose(back, centres, atol=1e-2)


def test_a_surface_has_no_cracks_and_covers_the_frame():
    x, y = torch.meshgrid(torch.linspace(-3, 35, 14), torch.linspace(-3, 35, 11), indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3)
    corner = (torch.arange(13)[:, None] * 11 + torch.arange(10)).flatten()
    upper = torch.stack([corner, corner + 11, corner + 12], -1)
    faces = torch.cat([upper, torch.stack([corner, corner + 12, corner + 1], -1)])
    assert (rasterize(points[None], faces, 32, 32).face >= 0).all()


def test_result_does_not_depend_on_the_grouping(torus, monkeypatch):
    vertices, faces = tensors(torus)
    points = project(orbit(2, 40.0), vertices, 48, 40)
    once = rasterize(points, faces, 48, 40)
    monkeypatch.setattr(module, "CANDIDATES", 100)
    again = rasterize(points, faces, 48, 40)
    assert torch.equal(once.face, again.face) and torch.equal(once.depth, again.depth)


def test_backs_are_culled_without_a_change_to_a_closed_mesh(torus):
    vertices, faces = tensors(torus)
    points = project(orbit(1), vertices, 32, 32)
    kept = rasterize(points, faces, 32, 32).face
    assert torch.equal(kept, rasterize(points, faces, 32, 32, cull_back=True).face)
    flipped = rasterize(points, faces.flip(-1), 32, 32, cull_back=True).face
    assert ((flipped >= 0) == (kept >= 0)).all() and not torch.equal(flipped, kept)


def test_what_lies_behind_the_camera_or_is_not_finite_is_not_drawn():
    camera = orbit(1, 0.0, distance=1.0)
    behind = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]])
    assert (rasterize(project(camera, behind, 16, 16), torch.tensor([[0, 1, 2]]), 16, 16).face < 0).all()
    broken = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [0, float("nan"), 0]])
    assert (rasterize(project(camera, broken, 16, 16), torch.tensor([[0, 1, 2]]), 16, 16).face < 0).all()


def test_the_pixels_that_see_a_face_are_listed(torus):
    vertices, faces = tensors(torus)
    found = rasterize(project(orbit(2, 40.0), vertices, 24, 20), faces, 24, 20)
    assert torch.equal(found.at, (found.face >= 0).flatten().nonzero()[:, 0]) and len(found.at) > 50
    empty = rasterize(torch.full((1, 3, 3), -5.0), torch.tensor([[0, 1, 2]]), 8, 8)
    assert len(empty.at) == 0 and (empty.face == -1).all() and empty.depth.abs().max() == 0
