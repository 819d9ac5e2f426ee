from __future__ import annotations

import numpy as np
import pytest
from tbsd_pack.tbsd_core.mesh import Mesh, write_mesh
from tbsd_pack.tbsd_core.mesh.obj import companions
from tbsd_pack.tbsd_core.mesh.texture import sample_texture

trimesh = pytest.importorskip("trimesh")
pil = pytest.importorskip("PIL.Image")


def square() -> Mesh:
    """A square that faces +z, upright, with four colours: red and green above, blue and white below."""
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float32)
    uvs = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=np.float32)
    texture = np.zeros((8, 16, 3), dtype=np.float32)
    texture[:4, :8, 0], texture[:4, 8:, 1], texture[4:, :8, 2], texture[4:, 8:] = 1, 1, 1, 1
    return Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), np.zeros((4, 3), dtype=np.float32), uvs, texture)


CORNERS = {(-1, -1): (0, 0, 1), (1, -1): (1, 1, 1), (1, 1): (0, 1, 0), (-1, 1): (1, 0, 0)}


def corner_colors(visual, picture) -> np.ndarray:
    """Another reader's view of the vertices: trimesh counts v from the lower edge."""
    pixels = np.asarray(picture.convert("RGB")) / 255
    height, width = pixels.shape[:2]
    x = np.clip(visual.uv[:, 0] * width, 0, width - 1).astype(int)
    y = np.clip((1 - visual.uv[:, 1]) * height, 0, height - 1).astype(int)
    return pixels[y, x]


def check_corners(read, colors) -> None:
    for vertex, color in zip(read.vertices, colors, strict=True):
        assert color == pytest.approx(CORNERS[tuple(np.round(vertex[:2]).astype(int))], abs=0.01)


def test_glb_carries_the_texture_matte_and_without_vertex_colours(tmp_path):
    read = trimesh.load(write_mesh(square(), tmp_path / "a.glb"), force="mesh", process=False)
    material = read.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0.0, 1.0)
    assert material.baseColorTexture.size == (16, 8)
    check_corners(read, corner_colors(read.visual, material.baseColorTexture))
    assert b"COLOR_0" not in (tmp_path / "a.glb").read_bytes()


@pytest.mark.parametrize("name", ["house.obj", "my brick house.obj", "maison près #2.obj"])
def test_obj_material_and_texture_stay_together(tmp_path, name):
    path = write_mesh(square(), tmp_path / name)
    material, texture = companions(path)
    assert {p.name for p in tmp_path.iterdir()} == {name, material.name, texture.name}
    assert " " not in material.name + texture.name
    read = trimesh.load(path, force="mesh", process=False)
    check_corners(read, corner_colors(read.visual, read.visual.material.image))


def test_companions_of_similar_names_differ():
    assert companions("a b.obj")[0] != companions("a_b.obj")[0]


def test_an_obj_that_fails_leaves_nothing(tmp_path, monkeypatch):
    mesh = square()
    monkeypatch.setattr(np, "savetxt", lambda *given, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_mesh(mesh, tmp_path / "a.obj")
    assert list(tmp_path.iterdir()) == []


def test_ply_gets_the_textures_colours_at_its_vertices(tmp_path):
    read = trimesh.load(write_mesh(square(), tmp_path / "a.ply"), force="mesh", process=False)
    check_corners(read, read.visual.vertex_colors[:, :3] / 255)


def test_pictures_that_repeat_do_so_in_files(tmp_path):
    wide = square()
    wide = Mesh(wide.vertices, wide.faces, uvs=wide.uvs + [2, -1], texture=wide.texture)
    data = write_mesh(wide, tmp_path / "a.glb").read_bytes()
    assert b'"wrapS":10497' in data and b'"wrapS":33071' in write_mesh(square(), tmp_path / "b.glb").read_bytes()
    inner = Mesh(wide.vertices, wide.faces, uvs=(square().uvs - 0.5) * 0.9 + [2.5, -0.5], texture=wide.texture)
    read = trimesh.load(write_mesh(inner, tmp_path / "a.ply"), force="mesh", process=False)
    check_corners(read, read.visual.vertex_colors[:, :3] / 255)


def test_sampling_is_linear_between_texel_centres_and_clamps():
    ramp = np.linspace(0, 1, 5, dtype=np.float32)[None, :, None].repeat(3, 0)
    u = np.linspace(0, 1, 41)
    got = sample_texture(ramp, np.stack([u, np.full_like(u, 0.3)], -1))[:, 0]
    assert np.allclose(got, np.clip((u * 5 - 0.5) / 4, 0, 1), atol=1e-6)


def test_copies_of_a_vertex_on_a_seam_share_their_normal():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]]), uvs=np.zeros((6, 2), dtype=np.float32))
    normals = mesh.vertex_normals()
    assert np.allclose(normals[0], normals[3]) and np.allclose(normals[0], [2**-0.5, 0, 2**-0.5], atol=1e-6)
