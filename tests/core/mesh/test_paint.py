from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.mesh import (
    ExportConfig,
    Mesh,
    PlacementConfig,
    painted_mesh,
    texture_scene,
    textured_mesh,
    write_mesh,
)
from tbsd_pack.tbsd_core.mesh.load import load_mesh
from tbsd_pack.tbsd_core.mesh.normals import corner_normals
from tbsd_pack.tbsd_core.mesh.paint import MANY_FACES, own_coordinates, start_from_colors, why_not_kept
from tbsd_pack.tbsd_core.mesh.texture import sample_texture
from tbsd_pack.tbsd_core.mesh.uv import UVConfig, unwrap
from tbsd_pack.tbsd_core.native import Limits
from tbsd_pack.tbsd_core.renderer.rasterize import interpolate, project, rasterize
from tbsd_pack.tbsd_core.sample_meshes import sample_mesh
from tbsd_pack.tbsd_core.scenes import MeshTextureConfig

SMALL = MeshTextureConfig(resolutions=(9, 25), shading="none", supersample=1)


def mesh_of(shape: trimesh.Trimesh, colors=None) -> Mesh:
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int64), colors)


def painted_torus(n_steps: int = 60):
    """A torus painted with colours that are a smooth function of the place."""
    mesh = mesh_of(trimesh.creation.torus(0.6, 0.25, major_sections=48, minor_sections=24))
    scene = texture_scene(mesh, SMALL)
    points = scene.vertices.numpy()
    mesh = Mesh(mesh.vertices, mesh.faces, (0.5 + 0.4 * np.sin(4 * points)).astype(np.float32))
    error = start_from_colors(scene, mesh, n_steps)
    return mesh, scene, error


@pytest.mark.parametrize("up", ["y", "z"])
def test_a_mesh_is_placed_in_the_ball_and_comes_back_to_its_own_coordinates(up):
    box = trimesh.creation.box((2, 30, 4))
    box.apply_translation((100, -7, 3))
    mesh = mesh_of(box)
    scene = texture_scene(mesh, SMALL, PlacementConfig(up=up, turn=30.0))
    assert scene.vertices.norm(dim=-1).max().item() == pytest.approx(PlacementConfig.radius, abs=1e-5)
    assert np.abs(own_coordinates(scene) - mesh.vertices).max() < 1e-4
    longest = (scene.vertices.amax(0) - scene.vertices.amin(0)).argmax().item()
    assert (longest == 1) == (up == "y")
    outward = trimesh.Trimesh(scene.vertices.numpy(), scene.faces.numpy(), process=False)
    assert outward.volume > 0  # no mirror image


def test_turning_brings_the_left_side_to_the_front():
    """A spike that points to +x faces the front camera after a quarter turn clockwise from above."""
    corners = [[0, 0, 0], [0, 0.1, 0], [0, 0, 0.1], [5, 0, 0]]
    spike = mesh_of(trimesh.Trimesh(corners, [[0, 1, 3], [1, 2, 3], [2, 0, 3]], process=False))
    tip = texture_scene(spike, SMALL, PlacementConfig(turn=-90.0)).vertices[3]
    assert tip.argmax().item() == 2 and tip[2] > 0.7


def test_normals_are_smooth_on_curves_and_sharp_at_edges():
    ball = trimesh.creation.icosphere(3)
    n = corner_normals(np.asarray(ball.vertices), np.asarray(ball.faces))
    exact = np.asarray(ball.vertices)[ball.faces]
    assert (n * exact).sum(-1).min() > 0.999
    box = trimesh.creation.box()
    n = corner_normals(np.asarray(box.vertices), np.asarray(box.faces))
    assert np.abs(n - box.face_normals[:, None]).max() < 1e-6


def test_the_tip_of_a_fan_costs_no_square_of_its_faces():
    turn = np.linspace(0, 2 * np.pi, 3001)
    rim = np.stack([np.cos(turn), np.full_like(turn, -0.3), np.sin(turn)], -1)
    faces = np.stack([np.zeros(3000, dtype=int), np.arange(2, 3002), np.arange(1, 3001)], -1)
    tip = corner_normals(np.concatenate([[[0.0, 0, 0]], rim]), faces)[:, 0]
    assert np.abs(tip - [0, 1, 0]).max() < 0.01  # a sample of all around it, not of one side


def test_a_large_mesh_is_prepared_in_the_child_process_as_a_small_one_is_here():
    ball = trimesh.creation.icosphere(6)
    told = []
    scene = texture_scene(mesh_of(ball), SMALL, PlacementConfig(radius=None), told.append)
    assert len(ball.faces) > MANY_FACES and max(told) <= 1
    here = corner_normals(mesh_of(ball).vertices.astype(np.float64), np.asarray(ball.faces))
    np.testing.assert_array_equal(scene.corner_normals.numpy(), here)


def test_colours_are_taken_over():
    mesh, scene, error = painted_torus()
    assert error < 0.02
    points = scene.vertices[::7]
    with torch.no_grad():
        assert np.abs(scene.albedo(points).numpy() - mesh.colors[::7]).max() < 0.12


def test_a_texture_is_taken_over():
    mesh = unwrap(mesh_of(trimesh.creation.box()), UVConfig(size=64))
    texture = np.zeros((64, 64, 3), np.float32)
    texture[:, :, 0] = np.linspace(0, 1, 64)[None]
    mesh = Mesh(mesh.vertices, mesh.faces, uvs=mesh.uvs, texture=texture)
    scene = texture_scene(mesh, MeshTextureConfig(resolutions=(17, 65)))
    error = start_from_colors(scene, mesh, 60)
    assert error < 0.1  # seams of the texture are steps in space
    with pytest.raises(ValueError, match="neither a texture nor"):
        start_from_colors(scene, Mesh(mesh.vertices, mesh.faces))


def test_the_exported_file_looks_like_the_scene_without_seams(tmp_path):
    """Oracle: the file, read by trimesh and rendered with its texture, against the scene's own renders."""
    _, scene, _ = painted_torus()
    mesh, report = painted_mesh(scene, UVConfig(size=512))
    assert report["uv"].startswith("unwrapped: the mesh has no") and report["texture"] == 512 and not report["warnings"]
    file = load_mesh(write_mesh(mesh, tmp_path / "torus.glb")).mesh
    assert np.abs(own_coordinates(scene).max(0) - file.vertices.max(0)).max() < 1e-4
    place = scene.place.numpy()
    vertices = torch.from_numpy(file.vertices @ place[:3, :3].T + place[:3, 3]).float()
    cameras = orbit(4, 25.0)
    faces = torch.from_numpy(file.faces)
    seen = rasterize(project(cameras, vertices, 64, 64), faces, 64, 64)
    hit = (seen.face >= 0).numpy()
    uvs = interpolate(torch.from_numpy(file.uvs), faces, seen).numpy()
    again = sample_texture(file.texture, uvs)
    with torch.no_grad():
        render = scene.render(cameras, 64, 64)
    assert np.array_equal(hit, render.opacity[:, 0].numpy() > 0.5)
    difference = np.abs(again - render.rgb.movedim(1, -1).numpy())[hit]
    assert np.sqrt((difference**2).mean()) < 1 / 80 and np.quantile(difference, 0.999) < 0.08


def test_own_texture_coordinates_are_kept_only_where_they_can_hold_a_texture():
    flat = unwrap(mesh_of(trimesh.creation.icosphere(2)), UVConfig(size=128))
    kept, report = painted_mesh(texture_scene(flat, SMALL), UVConfig(size=64))
    assert report["uv"] == "kept" and np.allclose(kept.uvs, flat.uvs)
    alike = np.random.default_rng(0).uniform(size=flat.uvs.shape).astype(np.float32)
    overlapping = Mesh(flat.vertices, flat.faces, uvs=alike)
    assert "several places at once" in painted_mesh(texture_scene(overlapping, SMALL), UVConfig(size=64))[1]["uv"]
    tiled = Mesh(flat.vertices, flat.faces, uvs=flat.uvs * 3)
    assert "leave the texture" in painted_mesh(texture_scene(tiled, SMALL), UVConfig(size=64))[1]["uv"]


def test_without_xatlas_the_vertices_are_coloured_and_the_reason_is_given(monkeypatch):
    _, scene, _ = painted_torus(5)
    monkeypatch.setattr(f"{unwrap.__module__}.XATLAS", "xatlas_that_is_not_there")
    mesh, report = textured_mesh(scene, ExportConfig(texture=64))
    assert mesh.texture is None and mesh.colors.shape == mesh.vertices.shape and report["texture"] == 0
    assert "pip install" in report["warnings"][0]


def test_a_mesh_that_cannot_be_unwrapped_has_coloured_vertices_and_its_triangles(monkeypatch):
    monkeypatch.setattr(f"{unwrap.__module__}.LIMITS", Limits(seconds=1e-4))
    mesh, scene, _ = painted_torus(5)
    painted, report = painted_mesh(scene, UVConfig(size=64))
    assert painted.texture is None and np.array_equal(painted.faces, mesh.faces) and painted.colors is not None
    assert "vertex colours" in report["warnings"][0] and "0.0001 s" in report["warnings"][0]
    painted, report = painted_mesh(scene, UVConfig(size=512))  # room for single triangles
    assert painted.texture.std() > 0 and "Every triangle" in report["warnings"][0]


def test_light_belongs_to_the_viewer_where_it_is_not_in_the_colours():
    mesh = mesh_of(trimesh.creation.box())
    for shading, unlit in (("none", True), ("soft", False)):
        scene = texture_scene(mesh, MeshTextureConfig(resolutions=(5,), shading=shading))
        assert painted_mesh(scene, UVConfig(size=32))[0].unlit == unlit


def test_nothing_to_paint_is_said():
    with pytest.raises(ValueError, match="no faces"):
        texture_scene(Mesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int64)))
    with pytest.raises(ValueError, match="No face of the mesh has an area"):
        texture_scene(Mesh(np.ones((3, 3), np.float32), np.array([[0, 1, 2]])))


def test_damage_is_named_and_how_to_go_on():
    ball = mesh_of(trimesh.creation.icosphere(1))
    vertices, faces = ball.vertices.copy(), ball.faces.copy()
    vertices[3], faces[0, 0] = np.nan, 1_000_000
    with pytest.raises(ValueError, match=r"5 of the mesh's 80 faces have corners that are not finite\. Repair"):
        texture_scene(Mesh(vertices, ball.faces))
    with pytest.raises(ValueError, match="a face names vertex 1000000, and there are 42"):
        texture_scene(Mesh(ball.vertices, faces))
    with pytest.raises(ValueError, match="a face names vertex -1"):
        texture_scene(Mesh(ball.vertices, np.where(faces == 1_000_000, -1, faces)))
    half = np.full_like(ball.vertices, 0.5)
    uvs, texture = half[:, :2].copy(), np.full((4, 4, 3), 0.5, np.float32)
    uvs[0], half[7], white = np.nan, np.inf, np.ones_like(texture)
    for colored, what in (
        (Mesh(ball.vertices, ball.faces, half), "vertex colours"),
        (Mesh(ball.vertices, ball.faces, uvs=uvs, texture=texture), "texture coordinates"),
        (Mesh(ball.vertices, ball.faces, uvs=half[:, :2] * 0, texture=white * np.nan), "texture"),
    ):
        with pytest.raises(ValueError, match=f"mesh's {what}.* not finite numbers. Start from grey"):
            start_from_colors(texture_scene(colored, SMALL), colored)


def test_a_mesh_that_is_not_manifold_is_painted():
    ball = mesh_of(trimesh.creation.icosphere(2))
    fins = np.array([[0, 1, 50], [0, 1, 60], [0, 1, 70]])
    faces = np.concatenate([ball.faces, ball.faces[:3, ::-1], fins])
    painted, report = painted_mesh(texture_scene(Mesh(ball.vertices, faces), SMALL), UVConfig(size=64))
    assert report["faces"] == len(faces) and painted.texture.shape == (64, 64, 3)
    assert np.isfinite(painted.texture).all() and np.isfinite(painted.uvs).all()


@pytest.mark.parametrize("name", ["cube", "mushroom"])
def test_samples_are_closed_surfaces_of_the_true_solid(name):
    from tbsd_pack.tbsd_core.priors.small_world.shapes import SHAPES

    mesh = sample_mesh(name, 48)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert shape.is_watertight and shape.volume > 0
    assert SHAPES[name](torch.from_numpy(mesh.vertices)).abs().max() < 0.05
    with pytest.raises(ValueError, match="teapot.*house"):
        sample_mesh("teapot")


def test_texture_coordinates_without_room_are_not_kept():
    """Palettes, and exporters that write zeros: thousands of faces would get one colour."""
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices, faces = ball.vertices.astype(np.float32), ball.faces.astype(np.int64)
    flat = vertices[faces].reshape(-1, 3)
    corners = np.arange(len(flat)).reshape(-1, 3)
    side = int(np.ceil(np.sqrt(len(faces))))
    row, column = np.divmod(np.arange(len(faces)), side)
    uvs = np.stack([column[:, None] + [0.1, 0.9, 0.1], row[:, None] + [0.1, 0.1, 0.9]], -1).reshape(-1, 2) / side
    mesh = Mesh(flat, corners, uvs=uvs.astype(np.float32))
    assert why_not_kept(mesh) == ""
    dots = uvs.reshape(-1, 3, 2).copy()
    dots[: len(faces) // 3] = dots[: len(faces) // 3, :1]
    assert "no room" in why_not_kept(replace(mesh, uvs=dots.reshape(-1, 2).astype(np.float32)))
    assert "100%" in why_not_kept(replace(mesh, uvs=np.zeros_like(mesh.uvs)))
    few = uvs.reshape(-1, 3, 2).copy()
    few[:3] = few[:3, :1]
    assert why_not_kept(replace(mesh, uvs=few.reshape(-1, 2).astype(np.float32))) == ""


def sphere_of(rings: int = 12, around: int = 24) -> Mesh:
    """A sphere whose vertices on one meridian are there twice, as at the seam of a texture."""
    down, turn = np.linspace(0, np.pi, rings + 1)[1:-1], np.linspace(0, 2 * np.pi, around + 1)
    turn[-1] = 0.0
    at = [(np.sin(a) * np.cos(b), np.cos(a), np.sin(a) * np.sin(b)) for a in down for b in turn]
    cells = [i * (around + 1) + j for i in range(rings - 2) for j in range(around)]
    faces = [face for a in cells for face in ((a, a + 1, a + around + 1), (a + 1, a + around + 2, a + around + 1))]
    return Mesh(np.array(at, np.float32), np.array(faces))


def off_the_sphere(scene) -> float:
    """The largest angle in degrees between a corner's normal and the sphere's, beside the open ends."""
    inner = scene.vertices[:, 1].abs()[scene.faces].amax(-1) < 0.6 * scene.vertices.norm(dim=-1).max()
    radial = torch.nn.functional.normalize(scene.vertices[scene.faces][inner], dim=-1)
    return float(torch.rad2deg((radial * scene.corner_normals[inner]).sum(-1).clamp(-1, 1).acos().max()))


def test_shading_continues_over_seams_and_doubled_corners():
    mesh = sphere_of()
    assert off_the_sphere(texture_scene(mesh, SMALL)) < 1.0
    alone = Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))  # as in STL
    assert off_the_sphere(texture_scene(alone, SMALL)) < 1.0


def test_a_meshs_own_normals_are_shaded_and_turn_with_it():
    box = mesh_of(trimesh.creation.box((1, 2, 3)))
    round_ = box.vertices / np.linalg.norm(box.vertices, axis=-1, keepdims=True)
    mesh = replace(box, surface=replace(box.surface, normals=round_.astype(np.float32)))
    scene = texture_scene(mesh, SMALL, PlacementConfig(up="z", turn=30.0))
    radial = torch.nn.functional.normalize(scene.vertices, dim=-1)[scene.faces]
    assert torch.allclose(scene.corner_normals, radial, atol=1e-5)
    broken = replace(mesh, surface=replace(mesh.surface, normals=np.zeros_like(round_, dtype=np.float32)))
    flat = texture_scene(broken, SMALL)
    assert torch.allclose(flat.corner_normals, texture_scene(box, SMALL).corner_normals)


def test_the_far_edge_of_a_texture_is_not_its_near_one():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    uvs = np.array([[1.0, 1.0], [1, 1], [1, 1], [1, 1]], np.float32)
    texture = np.zeros((8, 8, 3), np.float32)
    texture[4:, 4:] = 1.0
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), uvs=uvs, texture=texture)
    scene = texture_scene(mesh, SMALL)
    start_from_colors(scene, mesh, 60)
    assert scene.albedo(scene.vertices).min() > 0.9
