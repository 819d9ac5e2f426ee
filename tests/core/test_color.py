"""Which colours are linear light and which are sRGB, held against trimesh and the standard."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.color import colors_to_sh, linear_to_srgb, sh_to_colors, srgb_to_linear
from tbsd_pack.tbsd_core.mesh import Mesh, write_mesh
from tbsd_pack.tbsd_core.mesh.load import load_mesh


def test_the_conversion_is_the_standards_and_undone():
    # 0.04045, where the line meets the power, is 0.0031308 of linear light
    assert srgb_to_linear(np.array([0, 0.04045, 0.5, 1])) == pytest.approx([0, 0.0031308, 0.21404, 1], abs=1e-5)
    x = np.linspace(0, 1, 1001)
    assert np.abs(linear_to_srgb(srgb_to_linear(x)) - x).max() < 1e-6


def test_harmonics_are_undone():
    x = torch.linspace(0, 1, 11)
    assert torch.allclose(sh_to_colors(colors_to_sh(x)), x, atol=1e-6)
    assert colors_to_sh(np.array([0.5 + 0.28209479])) == pytest.approx([1.0], abs=1e-6)


@pytest.fixture
def grey() -> Mesh:
    """A square of a colour that is a mid grey on a screen, with texture coordinates."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(corners, faces, np.full((4, 3), 0.5, np.float32), uvs=corners[:, :2])


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_obj_and_ply_hold_srgb_at_their_vertices(grey, tmp_path, suffix):
    path = write_mesh(grey, tmp_path / f"a{suffix}")
    read = trimesh.load(path, force="mesh", process=False)
    assert np.abs(read.visual.vertex_colors[:, :3] / 255 - 0.5).max() < 0.003
    assert np.abs(load_mesh(path).mesh.colors - 0.5).max() < 0.003


def test_a_glb_holds_linear_light_at_its_vertices(grey, tmp_path):
    path = write_mesh(grey, tmp_path / "a.glb")
    data = path.read_bytes()
    n = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + n])
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    start = 28 + n + document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    assert np.frombuffer(data, "<f4", 12, start) == pytest.approx(0.21404, abs=1e-4)
    assert np.abs(load_mesh(path).mesh.colors - 0.5).max() < 1e-5


def test_bytes_at_the_vertices_of_a_glb_are_what_trimesh_means_by_them(grey, tmp_path):
    mesh = trimesh.Trimesh(grey.vertices, grey.faces, vertex_colors=[128, 128, 128, 255], process=False)
    mesh.export(tmp_path / "a.glb")
    assert np.abs(load_mesh(tmp_path / "a.glb").mesh.colors - 128 / 255).max() < 1e-5


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_textures_are_srgb(grey, tmp_path, suffix):
    textured = Mesh(grey.vertices, grey.faces, uvs=grey.uvs, texture=np.full((4, 4, 3), 128 / 255, np.float32))
    read = trimesh.load(write_mesh(textured, tmp_path / f"a{suffix}"), force="mesh", process=False)
    material = read.visual.material
    picture = material.baseColorTexture if suffix == ".glb" else material.image
    assert np.asarray(picture.convert("RGB")).tolist() == np.full((4, 4, 3), 128).tolist()
