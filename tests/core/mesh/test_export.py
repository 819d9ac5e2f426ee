"""A coloured ball and box as a field, rendered by the renderer of the NeRF, against the mesh that is made of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tbsd_pack.tbsd_core.cameras.rays import camera_rays
from tbsd_pack.tbsd_core.cameras.sampling import orbit
from tbsd_pack.tbsd_core.mesh import Mesh, MeshConfig, write_mesh
from tbsd_pack.tbsd_core.mesh.bake import BakeConfig
from tbsd_pack.tbsd_core.mesh.export import ExportConfig, textured_mesh
from tbsd_pack.tbsd_core.mesh.isosurface import extract_surface
from tbsd_pack.tbsd_core.mesh.simplify import edge_defects, simplify
from tbsd_pack.tbsd_core.mesh.uv import uv_overlap
from tbsd_pack.tbsd_core.native import Limits
from tbsd_pack.tbsd_core.renderer.background import over_background
from tbsd_pack.tbsd_core.renderer.rasterize import interpolate, project, rasterize
from tbsd_pack.tbsd_core.renderer.sampling import sample_intervals, sphere_interval
from tbsd_pack.tbsd_core.renderer.volume import composite
from tbsd_pack.tbsd_core.scenes.base import RenderOutput, Scene3D

trimesh = pytest.importorskip("trimesh")
for _name in ("skimage", "xatlas", "fast_simplification", "nerfacc", "PIL"):
    pytest.importorskip(_name)

GREY = (0.5, 0.5, 0.5)
SMALL = ExportConfig(
    faces=1500, texture=256, surface=MeshConfig(resolution=40), bake=BakeConfig(views=6, elevations=(15.0,), size=96)
)


class Field(Scene3D):
    """A ball beside a box, soft at the surface, in colours that vary with the place."""

    bound = 1.0

    def __init__(self, strength: float = 60.0) -> None:
        super().__init__(None)
        self.strength = strength

    def parameter_groups(self, lr):
        return []

    def density(self, points):
        ball = (points - torch.tensor([-0.35, 0.1, 0.0])).norm(dim=-1) - 0.4
        q = (points - torch.tensor([0.4, -0.1, 0.1])).abs() - 0.3
        box = q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0)
        return self.strength * torch.sigmoid(-torch.minimum(ball, box) * 150)

    def albedo(self, points):
        return 0.5 + 0.4 * torch.sin(points * 5 + torch.tensor([0.0, 1.0, 2.0]))

    def render(self, cameras, height, width, generator=None, with_normal=False, progress=1.0):
        rays_o, rays_d = (r.reshape(-1, 3) for r in camera_rays(cameras, height, width))
        t, delta = sample_intervals(*sphere_interval(rays_o, rays_d, 1.0), 96, 1.0)
        points = (rays_o[:, None] + t[..., None] * rays_d[:, None]).reshape(-1, 3)
        out = composite(t, delta, self.density(points), self.albedo(points), torch.arange(len(points)))

        def image(x):
            return x.view(len(cameras), height, width, -1).permute(0, 3, 1, 2)

        return RenderOutput(image(over_background(out.rgb, out.opacity, GREY)), image(out.opacity), image(out.depth))


@pytest.fixture(scope="module")
def exported():
    return textured_mesh(Field(), SMALL)


def read_back(path) -> Mesh:
    """A GLB as trimesh reads it; trimesh counts v from the lower edge."""
    read = trimesh.load(path, force="mesh", process=False)
    texture = np.asarray(read.visual.material.baseColorTexture.convert("RGB"), dtype=np.float32) / 255
    uvs = (read.visual.uv * [1, -1] + [0, 1]).astype(np.float32)
    return Mesh(np.asarray(read.vertices, dtype=np.float32), np.asarray(read.faces), None, uvs, texture)


def test_the_glb_read_by_trimesh_looks_like_the_field(exported, tmp_path):
    mesh = read_back(write_mesh(exported[0], tmp_path / "a.glb"))
    cameras = orbit(8, 20.0)
    faces = torch.from_numpy(mesh.faces)
    fragments = rasterize(project(cameras, torch.from_numpy(mesh.vertices), 192, 192), faces, 192, 192)
    grid = interpolate(torch.from_numpy(mesh.uvs), faces, fragments) * 2 - 1
    texture = torch.from_numpy(mesh.texture).permute(2, 0, 1)[None].expand(8, -1, -1, -1)
    covered = (fragments.face >= 0)[:, None]
    shown = F.grid_sample(texture, grid, align_corners=False, padding_mode="border") * covered
    coverage = F.avg_pool2d(covered.float(), 3)  # nine rays a pixel, as a viewer smooths edges
    shown = F.avg_pool2d(shown, 3) + (1 - coverage) * GREY[0]
    truth = Field().render(cameras, 64, 64)
    inside = (coverage > 0.99) & (truth.opacity > 0.9)
    error = ((shown - truth.rgb) ** 2).mean(1, keepdim=True)
    rms = [math.sqrt(float(error[i][inside[i]].mean())) for i in range(8)]
    assert max(rms) < 1 / 40, rms
    covered = coverage > 0.5
    solid = truth.opacity > 0.5
    assert float((covered & solid).sum() / (covered | solid).sum()) > 0.97


def test_report_and_charts(exported):
    mesh, report = exported
    assert uv_overlap(mesh, 256) < 0.01
    assert report["faces"] == len(mesh.faces) <= 1500 < report["faces_cut"]
    assert report["texture"] == 256 and mesh.texture.shape == (256, 256, 3) and mesh.colors is None
    assert report["open_edges"] == 0 and report["warnings"] == []
    assert set(report["seconds"]) == {"surface", "simplify", "unwrap", "bake"}


def test_a_thin_object_is_cut_lower_and_the_user_is_told():
    mesh, report = textured_mesh(Field(4.0), replace(SMALL, texture=0))
    assert report["threshold"] == pytest.approx(2.0, rel=0.05) and len(mesh.faces) > 100
    assert "the object is thin" in report["warnings"][0]


@pytest.mark.parametrize(
    "field, message", [(Field(0.0), "the scene is empty"), (Field(math.nan), r"NaN or infinite at [\d,]+ of")]
)
def test_a_scene_without_a_surface_is_refused(field, message):
    with pytest.raises(RuntimeError, match=message):
        textured_mesh(field, SMALL)


def test_a_chosen_threshold_is_not_lowered():
    with pytest.raises(RuntimeError, match="Use a threshold below"):
        extract_surface(Field(4.0), MeshConfig(resolution=16, threshold=50.0))


def test_without_xatlas_vertices_are_coloured_and_the_reason_given(monkeypatch):
    monkeypatch.setattr(f"{textured_mesh.__module__}.XATLAS", "xatlas_that_is_not_there")
    mesh, report = textured_mesh(Field(), SMALL)
    assert mesh.texture is None and mesh.colors.std() > 0.1 and report["texture"] == 0
    assert "vertex colours instead" in report["warnings"][0] and "pip install" in report["warnings"][0]


def test_without_the_simplifier_triangles_stay_and_the_reason_is_given(monkeypatch):
    monkeypatch.setattr(f"{textured_mesh.__module__}.SIMPLIFIER", "simplifier_that_is_not_there")
    _, report = textured_mesh(Field(), replace(SMALL, texture=0))
    assert report["faces"] == report["faces_cut"] and "pip install fast-simplification" in report["warnings"][0]


def test_a_cut_mesh_that_cannot_be_unwrapped_is_simplified_first(monkeypatch):
    """Here nothing can be unwrapped: the mesh is simplified, then its vertices are coloured, and both are said."""
    monkeypatch.setattr(f"{uv_overlap.__module__}.LIMITS", Limits(seconds=1e-4))
    monkeypatch.setattr(ExportConfig, "faces", 800)
    mesh, report = textured_mesh(Field(), replace(SMALL, texture=64))
    assert len(mesh.faces) <= 800 and mesh.texture is None and report["texture"] == 0
    assert "simplified to" in report["warnings"][0] and "vertex colours" in report["warnings"][1]


def test_simplified_stays_closed_inside_the_box_and_never_grows():
    mesh, _, _ = extract_surface(Field(), MeshConfig(resolution=40))
    fewer = simplify(mesh, 800)
    assert 100 < len(fewer.faces) <= 800
    assert (fewer.vertices >= mesh.vertices.min(0)).all() and (fewer.vertices <= mesh.vertices.max(0)).all()
    assert edge_defects(fewer.faces) == (0, 0)
    assert len(simplify(mesh, 10**6).faces) == len(mesh.faces)


def test_nothing_left_after_decimation_is_an_error():
    line = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=np.float32)
    with pytest.raises(ValueError, match="No triangle is left"):
        simplify(Mesh(line, np.array([[0, 1, 2], [0, 2, 1]])), 1)
    with pytest.raises(ValueError, match="without faces"):
        simplify(Mesh(line, np.zeros((0, 3), dtype=int)), 1)
    with pytest.raises(ValueError, match="at least 1"):
        simplify(Mesh(line, np.array([[0, 1, 2]])), 0)


def test_progress_ends_at_one_and_can_stop():
    parts = []
    textured_mesh(Field(), replace(SMALL, texture=0), lambda stage, done: parts.append(done))
    assert parts == sorted(parts) and parts[-1] == 1.0

    def stop(stage, done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        textured_mesh(Field(), SMALL, stop)
