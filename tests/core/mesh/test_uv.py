from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.mesh import uv
from tbsd_pack.tbsd_core.mesh.mesh import Mesh
from tbsd_pack.tbsd_core.mesh.uv import (
    UVConfig,
    dilate,
    texel_bands,
    texel_fragments,
    triangle_charts,
    unwrap,
    unwrap_or_cut_up,
    uv_overlap,
)
from tbsd_pack.tbsd_core.native import Limits, NativeFailure
from tbsd_pack.tbsd_core.renderer.rasterize import interpolate

SHAPES = {
    "box": lambda: trimesh.creation.box(),
    "torus": lambda: trimesh.creation.torus(0.6, 0.25, major_sections=24, minor_sections=12),
    "sphere": lambda: trimesh.creation.icosphere(3),
}


def mesh_of(name: str) -> Mesh:
    shape = SHAPES[name]()
    return Mesh(np.asarray(shape.vertices, dtype=np.float32), np.asarray(shape.faces, dtype=np.int64))


@pytest.mark.parametrize(
    "name, how", [*((name, "whole") for name in SHAPES), ("torus", "parts"), ("torus", "triangles")]
)
def test_unwrapping_keeps_the_surface_and_does_not_overlap(name, how, monkeypatch):
    mesh = mesh_of(name)
    if how == "parts":
        monkeypatch.setattr(uv, "WHOLE", 100)
        monkeypatch.setattr(uv, "PART", (150, 150))
    flat = triangle_charts(mesh, 256)[0] if how == "triangles" else unwrap(mesh, UVConfig(size=256))
    assert flat.uvs.min() >= 0 and flat.uvs.max() <= 1
    corner = lambda m: np.sort(m.vertices[m.faces].reshape(-1, 9), 0)  # noqa: E731
    assert np.allclose(corner(mesh), corner(flat)) and len(flat.faces) == len(mesh.faces)
    assert uv_overlap(flat, 256) < 0.01
    outward = trimesh.Trimesh(flat.vertices, flat.faces, process=False)
    assert outward.volume == pytest.approx(SHAPES[name]().volume, rel=1e-5)


def test_overlap_counts_charts_on_top_of_each_other():
    triangle = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]], dtype=np.float32)
    vertices = np.zeros((6, 3), dtype=np.float32)
    double = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]]), uvs=np.concatenate([triangle, triangle]))
    assert uv_overlap(double, 64) == 1
    single = Mesh(vertices[:3], np.array([[0, 1, 2]]), uvs=triangle)
    assert uv_overlap(single, 64) == 0


def test_texels_are_evenly_dense_and_lie_on_the_surface():
    mesh = unwrap(mesh_of("sphere"), UVConfig(size=256))
    texels = texel_fragments(mesh, 256, 256)
    place = interpolate(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces), texels)
    radius = place[texels.face >= 0].norm(dim=-1)
    assert radius.min() > 0.98 and radius.max() < 1.001
    # in every octant there are about as many texels
    octant = (place[texels.face >= 0] > 0).long() @ torch.tensor([1, 2, 4])
    count = octant.bincount(minlength=8).float()
    assert count.min() > 0.7 * count.max()


def test_dilation_takes_the_nearest_known_texel():
    texture = torch.zeros(8, 8, 3)
    texture[2, 2], texture[6, 6] = 1.0, 0.5
    known = texture.sum(-1) > 0
    out = dilate(texture, known)
    assert torch.equal(out[known], texture[known])
    assert out[0, 0, 0] == 1 and out[7, 7, 0] == 0.5 and (out > 0).all()
    with pytest.raises(ValueError, match="larger texture"):
        dilate(texture, torch.zeros(8, 8, dtype=torch.bool))


def test_where_xatlas_crashes_the_mesh_is_unwrapped_in_parts(monkeypatch, caplog):
    """A segmentation fault of xatlas 0.0.11 itself; a version that has none passes as well."""
    monkeypatch.setattr(uv, "WHOLE", 100_000)
    ball = trimesh.creation.icosphere(6)
    mesh = Mesh(np.asarray(ball.vertices, dtype=np.float32), np.asarray(ball.faces, dtype=np.int64))
    flat, source, warning = unwrap_or_cut_up(mesh, UVConfig(size=1024))
    assert len(flat.faces) == 81920 and warning == "" and np.array_equal(flat.vertices, mesh.vertices[source])
    assert uv_overlap(flat, 512) < 0.001


def test_where_xatlas_fails_triangles_are_laid_out_one_by_one_while_there_is_room(monkeypatch):
    monkeypatch.setattr(uv, "LIMITS", Limits(seconds=1e-4))
    mesh = mesh_of("sphere")
    flat, _, warning = unwrap_or_cut_up(mesh, UVConfig(size=256))
    assert len(flat.vertices) == 3 * len(mesh.faces) and "unwrap was stopped after 0.0001 s" in warning
    with pytest.raises(NativeFailure, match="no room for 1,280 triangles") as caught:
        unwrap_or_cut_up(mesh, UVConfig(size=128))
    assert caught.value.reason == "time"


def test_single_triangles_have_two_texels_between_them():
    """Bilinear filtering inside a triangle reads the texels around it, which must not show another one."""
    flat, _ = triangle_charts(mesh_of("torus"), 256)
    face = texel_fragments(flat, 256, 256).face[0]
    for other in (face[1:, :-1], face[:-1, 1:], face[1:, 1:]):
        here = face[:-1, :-1]
        assert not ((here >= 0) & (other >= 0) & (here != other)).any()
    assert torch.equal(face[face >= 0].unique(), torch.arange(len(flat.faces)))


def test_bands_show_what_the_whole_texture_does(monkeypatch):
    flat = unwrap(mesh_of("torus"), UVConfig(size=128))
    whole = texel_fragments(flat, 128, 128)
    monkeypatch.setattr(uv, "BAND_TEXELS", 128 * 20)
    bands = list(texel_bands(flat, 128, 128))
    assert [rows.start for rows, _, _ in bands] == [0, 20, 40, 60, 80, 100, 120]
    face = torch.cat([f.face for _, _, f in bands], 1)
    assert (face != whole.face).float().mean() < 1e-3  # centres on an edge
    same = (face == whole.face)[..., None]
    weights = torch.cat([f.barycentric for _, _, f in bands], 1)
    assert ((weights - whole.barycentric) * same).abs().max() < 1e-3


def test_a_mesh_without_area_is_refused():
    with pytest.raises(ValueError, match="none of which has an area"):
        unwrap(Mesh(np.zeros((3, 3), dtype=np.float32), np.array([[0, 1, 2]])))


def test_config_ranges():
    for wrong in ({"size": 8}, {"size": 9000}, {"padding": -1}):
        with pytest.raises(ValueError, match="UVConfig"):
            UVConfig(**wrong)
