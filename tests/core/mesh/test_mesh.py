from __future__ import annotations

import json
import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from tbsd_pack.tbsd_core.color import srgb_to_linear
from tbsd_pack.tbsd_core.mesh import WRITERS, Mesh, MeshConfig, write_mesh
from tbsd_pack.tbsd_core.mesh.isosurface import extract_surface, query_colors

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("skimage")


class Balls:
    """An analytic scene: soft balls, coloured by position."""

    bound = 1.0

    def __init__(self, *balls: tuple[tuple[float, float, float], float], hollow: float = 0.0) -> None:
        self.balls, self.hollow = balls, hollow

    def density(self, points):
        density = torch.zeros(len(points))
        for center, radius in self.balls:
            distance = (points - torch.tensor(center)).norm(dim=-1)
            density += torch.sigmoid((radius - distance) * 60) * 50
            if self.hollow:
                density -= torch.sigmoid((self.hollow - distance) * 60) * 50
        return density.clamp(min=0)

    def albedo(self, points):
        return points * 0.5 + 0.5


def surface(scene: Balls, config: MeshConfig) -> Mesh:
    return extract_surface(scene, config)[0]


def as_trimesh(mesh: Mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def test_sphere_has_its_volume_area_and_outward_normals():
    density_at_radius = 25.0  # the sigmoid's midpoint
    ball = Balls(((0.0, 0.0, 0.0), 0.6))
    mesh = surface(ball, MeshConfig(resolution=48, threshold=density_at_radius))
    solid = as_trimesh(mesh)
    assert solid.is_watertight and solid.is_winding_consistent
    assert solid.volume == pytest.approx(4 / 3 * math.pi * 0.6**3, rel=0.01)
    assert solid.area == pytest.approx(4 * math.pi * 0.6**2, rel=0.01)
    assert ((solid.face_normals * solid.triangles_center).sum(-1) > 0).all()
    assert np.allclose(np.linalg.norm(mesh.vertices, axis=-1), 0.6, atol=0.01)
    assert np.allclose((mesh.vertex_normals() * mesh.vertices).sum(-1), 0.6, atol=0.01)
    assert np.allclose(query_colors(ball, torch.from_numpy(mesh.vertices)), mesh.vertices * 0.5 + 0.5, atol=1e-5)


@pytest.mark.parametrize("layer", [1 / 24, 1 / 12, 0.2])
def test_the_surface_is_where_the_half_value_layer_puts_it(layer):
    ball = Balls(((0.0, 0.0, 0.0), 0.6))
    assert ball.bound == 1.0
    mesh = surface(ball, MeshConfig(resolution=160, half_value_layer=layer))
    share = math.log(2) / layer / 50  # of the density inside: a slab of that density and thickness halves the light
    radius = 0.6 + math.log(1 / share - 1) / 60
    assert np.allclose(np.linalg.norm(mesh.vertices, axis=-1), radius, atol=0.004)


def test_position_keeps_the_axes():
    mesh = surface(Balls(((0.5, 0.2, -0.3), 0.3)), MeshConfig(resolution=32))
    assert np.allclose(mesh.vertices.mean(0), (0.5, 0.2, -0.3), atol=0.03)


def test_floaters_and_cavities_are_dropped():
    two = Balls(((-0.4, 0.0, 0.0), 0.4), ((0.7, 0.0, 0.0), 0.12))
    assert as_trimesh(surface(two, MeshConfig(resolution=48))).bounds[1, 0] < 0.2
    everything = surface(two, MeshConfig(resolution=48, keep_fraction=0))
    assert as_trimesh(everything).bounds[1, 0] > 0.7
    shell = surface(Balls(((0.0, 0.0, 0.0), 0.6), hollow=0.4), MeshConfig(resolution=48))
    assert np.linalg.norm(shell.vertices, axis=-1).min() > 0.5


def test_object_that_touches_the_bound_is_closed():
    assert as_trimesh(surface(Balls(((0.0, 0.0, 0.0), 2.0)), MeshConfig(resolution=16))).is_watertight


def test_empty_scene_says_so():
    with pytest.raises(RuntimeError, match="Nothing to extract"):
        surface(Balls(), MeshConfig(resolution=8))


@pytest.mark.parametrize("chunk", [100, 10**6])
def test_chunks_do_not_matter(chunk):
    scene = Balls(((0.0, 0.1, 0.0), 0.5))
    a, b = surface(scene, MeshConfig(resolution=16)), surface(scene, MeshConfig(resolution=16, chunk=chunk))
    assert np.array_equal(a.vertices, b.vertices) and np.array_equal(a.faces, b.faces)


def tetrahedron() -> Mesh:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colors = np.array([[0.2, 0.4, 0.6], [1, 0, 0], [0.05, 0.02, 0.5], [0.9, 1, 0.3]], dtype=np.float32)
    return Mesh(vertices, faces, colors)


def glb_array(path, name: str) -> np.ndarray:
    """An attribute of a .glb, read with the file format's definition alone."""
    data = path.read_bytes()
    magic, version, total, n_json = struct.unpack("<4sIII", data[:16])
    assert (magic, version, total) == (b"glTF", 2, len(data))
    document = json.loads(data[20 : 20 + n_json])
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][name]]
    assert (accessor["componentType"], accessor["type"]) == (5126, "VEC3")
    offset = 28 + n_json + document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    return np.frombuffer(data, "<f4", accessor["count"] * 3, offset).reshape(-1, 3)


def test_glb_round_trip_keeps_shape_and_linear_colours(tmp_path):
    mesh = tetrahedron()
    read = trimesh.load(write_mesh(mesh, tmp_path / "a.glb"), force="mesh", process=False)
    assert np.allclose(read.vertices[read.faces], mesh.vertices[mesh.faces]) and read.volume > 0
    stored = glb_array(tmp_path / "a.glb", "COLOR_0")
    assert stored[0] == pytest.approx([0.0331, 0.1329, 0.3185], abs=1e-4)  # linear light of 0.2, 0.4, 0.6
    assert np.allclose(stored[read.faces], srgb_to_linear(mesh.colors)[mesh.faces], atol=1e-6)


def test_glb_carries_the_graph_where_comfyui_looks_for_it(tmp_path):
    graph = {"workflow": '{"nodes": ["häuschen"]}', "prompt": "{}"}
    data = write_mesh(tetrahedron(), tmp_path / "a.glb", graph).read_bytes()
    head = data[20 : 20 + int.from_bytes(data[12:16], "little")]
    assert json.loads(head)["asset"]["extras"] == graph
    assert len(trimesh.load(tmp_path / "a.glb", force="mesh", process=False).faces) == 4
    data = write_mesh(tetrahedron(), tmp_path / "b.glb", {**graph, "workflow": '"' * 600_000}).read_bytes()
    assert int.from_bytes(data[12:16], "little") < 10_000 and b'"prompt":"{}"' in data, "the first MiB holds the rest"
    assert write_mesh(tetrahedron(), tmp_path / "c.ply", graph).read_bytes().count(b"nodes") == 0


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_ply_and_obj_round_trip_keep_srgb_colours(tmp_path, suffix):
    mesh = tetrahedron()
    read = trimesh.load(write_mesh(mesh, tmp_path / f"a{suffix}"), force="mesh", process=False)
    assert np.allclose(read.vertices[read.faces], mesh.vertices[mesh.faces], atol=1e-5)
    colors = read.visual.vertex_colors[:, :3] / 255
    assert np.allclose(colors[read.faces], mesh.colors[mesh.faces], atol=0.003)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("damage", ["empty", "a hole in the list", "not a number", "not a number beside it"])
def test_damaged_meshes_are_not_written(tmp_path, suffix, damage):
    mesh = tetrahedron()
    vertices, faces = mesh.vertices.copy(), mesh.faces
    if damage == "empty":
        faces = faces[:0]
    elif damage == "a hole in the list":
        faces = faces + 1
    else:
        vertices[3] = np.nan
        faces = faces[:1] if damage == "not a number beside it" else faces
    with pytest.raises(ValueError, match=r"Repair the mesh"):
        write_mesh(Mesh(vertices, faces), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".glb", ".obj"])
def test_texture_coordinates_stay_without_a_texture(tmp_path, suffix):
    mesh = tetrahedron()
    uvs = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.25]], dtype=np.float32)
    given = replace(mesh, colors=None, uvs=uvs)
    read = trimesh.load(write_mesh(given, tmp_path / f"a{suffix}"), force="mesh", process=False)
    if suffix == ".glb":
        assert b"TEXCOORD_0" in (tmp_path / "a.glb").read_bytes()
        return
    assert np.allclose((read.visual.uv * [1, -1] + [0, 1])[read.faces], uvs[mesh.faces], atol=1e-6)


@pytest.mark.parametrize("suffix", WRITERS)
def test_mesh_without_colours_is_written(tmp_path, suffix):
    mesh = tetrahedron()
    path = write_mesh(Mesh(mesh.vertices, mesh.faces), tmp_path / "deep" / f"a{suffix}")
    assert len(trimesh.load(path, force="mesh").faces) == 4
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays behind


def test_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=".stl"):
        write_mesh(tetrahedron(), tmp_path / "a.stl")
    assert list(tmp_path.iterdir()) == []


def test_mesh_checks_its_shapes():
    with pytest.raises(ValueError, match="colors"):
        Mesh(np.zeros((3, 3)), np.zeros((1, 3), dtype=int), np.zeros((2, 3)))
