"""Meshes from files: coordinates, textures, what is refused and what is only reported."""

import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from tbsd_core.mesh.load import load_mesh

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float64)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize("ending", ["glb", "obj", "ply", "stl"])
def test_own_coordinates_survive_every_format(tmp_path, ending):
    box = trimesh.creation.box((2.0, 30.0, 4.0))
    box.apply_translation((100.0, -5.0, 7.0))
    box.export(tmp_path / f"box.{ending}")
    loaded = load_mesh(tmp_path / f"box.{ending}")
    corners = loaded.mesh.vertices[loaded.mesh.faces]
    np.testing.assert_allclose(corners.reshape(-1, 3).min(0), box.bounds[0], atol=1e-4)
    np.testing.assert_allclose(corners.reshape(-1, 3).max(0), box.bounds[1], atol=1e-4)
    assert len(loaded.mesh.faces) == 12
    assert loaded.report == ()


def test_scene_transforms_are_applied(tmp_path):
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    for x in (0.0, 10.0):
        scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((x, 0, 0)))
    scene.export(tmp_path / "two.glb")
    loaded = load_mesh(tmp_path / "two.glb")
    assert len(loaded.mesh.faces) == 24
    assert loaded.mesh.vertices[:, 0].max() == pytest.approx(10.5)
    assert loaded.report == ("2 objects joined",)


@pytest.mark.parametrize("ending", ["glb", "obj"])
def test_texture_is_upright(tmp_path, ending):
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    picture[0] = (255, 0, 0)  # the upper row
    uv = QUAD[:, :2]  # counted from below, as trimesh does: the upper edge of the quad has v = 1
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture))
    if ending == "glb":
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(picture))
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    trimesh.Trimesh(QUAD, FACES, visual=visual, process=False).export(tmp_path / f"quad.{ending}")
    mesh = load_mesh(tmp_path / f"quad.{ending}").mesh
    upper = mesh.vertices[:, 1] > 0.5
    np.testing.assert_allclose(mesh.uvs[upper, 1], 0, atol=1e-6)
    np.testing.assert_allclose(mesh.uvs[~upper, 1], 1, atol=1e-6)
    np.testing.assert_allclose(mesh.texture[0, :, 0], 1, atol=0.02)


def test_open_and_degenerate_are_reported(tmp_path):
    faces = np.concatenate([FACES, [[0, 0, 1]]])
    trimesh.Trimesh(QUAD, faces, process=False).export(tmp_path / "quad.ply")
    loaded = load_mesh(tmp_path / "quad.ply")
    assert len(loaded.mesh.faces) == 2
    assert loaded.report[0] == "1 faces without an area dropped"
    assert loaded.report[1].startswith("not watertight: 4 open edges")


def test_non_manifold_is_reported(tmp_path):
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    vertices = np.concatenate([QUAD, [[0, 0, 1]]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "fan.ply")
    assert any(line.startswith("not manifold: 1 edges") for line in load_mesh(tmp_path / "fan.ply").report)


def _ply(vertices: str, faces: str, n_vertices: int = 3) -> str:
    return (
        f"ply\nformat ascii 1.0\nelement vertex {n_vertices}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face 1\nproperty list uchar int vertex_indices\nend_header\n{vertices}\n{faces}\n"
    )


def _glb(tree: dict) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    return b"glTF" + struct.pack("<IIII", 2, 20 + len(text), len(text), 0x4E4F534A) + text


BAD = {
    "unknown.fbx": (b"x", "expected a mesh file"),
    "empty.obj": (b"", "cannot be read|no faces"),
    "points.obj": (b"v 0 0 0\nv 1 0 0\n", "cannot be read|no faces"),
    "nan.ply": (_ply("0 0 0\n1 0 nan\n0 1 0", "3 0 1 2").encode(), "not finite"),
    "range.ply": (_ply("0 0 0\n1 0 0\n0 1 0", "3 0 1 7").encode(), "damaged|cannot be read"),
    "huge.ply": (_ply("0 0 0", "3 0 0 0", 10**12).encode(), "declares 1000000000000"),
    "flat.ply": (_ply("0 0 0\n1 0 0\n2 0 0", "3 0 1 2").encode(), "no face with an area"),
    "noise.glb": (b"not a file at all, and long enough", "not a GLB"),
    "cut.glb": (b"glTF" + struct.pack("<IIII", 2, 40, 20, 0x4E4F534A) + b"{", "damaged"),
    "outside.glb": (_glb({"buffers": [{"uri": "http://example.org/a.bin"}]}), "refers to other files"),
    "huge.glb": (_glb({"accessors": [{"count": 10**12}]}), "declares 1000000000000"),
    "huge.stl": (b"\0" * 80 + struct.pack("<I", 2**32 - 1), "declares 4294967295"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(tmp_path, name):
    data, message = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        load_mesh(tmp_path / name)


def test_an_obj_reads_nothing_outside_its_folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "secret.png")
    (inside / "a.mtl").write_text("newmtl m\nmap_Kd ../secret.png\n")
    (inside / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    assert load_mesh(inside / "a.obj").mesh.texture is None
