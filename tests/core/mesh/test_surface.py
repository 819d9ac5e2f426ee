"""The attachments of a mesh beside its colours survive painting, files and saved scenes."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from tbsd_pack.tbsd_core.experiment.file import load_scene, save_scene
from tbsd_pack.tbsd_core.mesh import ExportConfig, Mesh, painted_mesh, texture_scene, textured_mesh, write_mesh
from tbsd_pack.tbsd_core.mesh.paint import surface_of
from tbsd_pack.tbsd_core.mesh.relay import NO_NORMALS
from tbsd_pack.tbsd_core.mesh.surface import Surface
from tbsd_pack.tbsd_core.mesh.uv import UVConfig, unwrap
from tbsd_pack.tbsd_core.scenes import MeshTextureConfig, NeRFConfig, NeRFScene
from tbsd_pack.tbsd_core.scenes.stored import copy_scene

SMALL = MeshTextureConfig(resolutions=(5, 9), shading="none", supersample=1)
FACTORS = {"roughness_factor": 0.25, "metallic_factor": -1.0, "emissive_strength": 3.0, "double_sided": False}


@pytest.fixture
def mesh() -> Mesh:
    """A ball with everything, its numbers such as 8 bits hold them."""
    ball = trimesh.creation.icosphere(2)
    flat = unwrap(Mesh(np.asarray(ball.vertices, np.float32), np.asarray(ball.faces)), UVConfig(size=128))
    rng = np.random.default_rng(0)
    maps = {
        name: (rng.integers(0, 256, size=(*size, 3)) / 255).astype(np.float32)
        for name, size in {"metallic_roughness": (32, 16), "normal_map": (16, 16), "emissive": (8, 8)}.items()
    }
    tangents = np.concatenate([flat.vertices[:, [2, 0, 1]], np.ones((len(flat.vertices), 1))], 1).astype(np.float32)
    surface = Surface(-flat.vertices, tangents, **maps, has_occlusion=True, factors=FACTORS)
    return replace(flat, surface=surface)


def same(a: Surface, b: Surface) -> None:
    assert a.arrays.keys() == b.arrays.keys()
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)
    assert (a.has_occlusion, a.factors) == (b.has_occlusion, b.factors)


def test_painting_changes_the_base_colour_alone(mesh):
    painted, report = painted_mesh(texture_scene(mesh, SMALL), UVConfig(size=32))
    assert report["uv"] == "kept" and report["warnings"] == []
    same(painted.surface, mesh.surface)
    assert np.array_equal(painted.uvs, mesh.uvs) and painted.texture.shape == (32, 32, 3)
    assert not painted.unlit, "it says how light falls on it"


def test_saved_scenes_and_copies_carry_it_and_a_step_does_not(mesh, tmp_path):
    scene = texture_scene(mesh, SMALL)
    save_scene(scene, tmp_path / "a.safetensors")
    loaded = load_scene(tmp_path / "a.safetensors")
    same(surface_of(loaded), mesh.surface)
    same(surface_of(copy_scene(loaded)), mesh.surface)
    assert not any("metallic" in name for name in scene.state_dict()), "what a step copies"
    assert copy_scene(scene).attached["emissive"] is scene.attached["emissive"], "nothing changes it"


def test_a_file_that_claims_more_than_it_holds_is_refused(mesh, tmp_path):
    scene = texture_scene(mesh, SMALL)
    scene.attached = {name: value for name, value in scene.attached.items() if name != "emissive"}
    save_scene(scene, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="damaged.*emissive"):
        load_scene(tmp_path / "a.safetensors")


@pytest.mark.parametrize("unlit", [False, True])
def test_what_was_painted_in_light_is_lit(mesh, unlit):
    """As the mesh of a NeRF, which is unlit: its colours have no light in them any more."""
    for given in (mesh, replace(mesh, surface=Surface())):
        scene = texture_scene(replace(given, unlit=unlit), replace(SMALL, shading="soft"))
        assert not painted_mesh(scene, UVConfig(size=32))[0].unlit
    plain = texture_scene(replace(mesh, unlit=unlit), replace(SMALL, shading="none"))
    assert painted_mesh(plain, UVConfig(size=32))[0].unlit == unlit


def test_a_factor_of_the_base_colour_does_not_tint_what_was_painted(mesh):
    tinted = {**FACTORS, "base_color_factor": [0.1, 0.2, 0.3, 1.0]}
    scene = texture_scene(replace(mesh, surface=replace(mesh.surface, factors=tinted)), SMALL)
    assert painted_mesh(scene, UVConfig(size=32))[0].surface.factors == FACTORS


def test_no_texture_size_colours_the_vertices_of_the_mesh_as_it_is(mesh):
    painted, report = textured_mesh(texture_scene(mesh, SMALL), ExportConfig(texture=0))
    assert report["texture"] == 0 and painted.texture is None
    assert painted.colors.shape == mesh.vertices.shape and np.array_equal(painted.uvs, mesh.uvs)
    same(painted.surface, mesh.surface)


def test_maps_follow_to_other_texture_coordinates(mesh):
    """Two halves share the texture: it is unwrapped anew, and roughness is where it was in space."""
    shared = replace(mesh, uvs=mesh.uvs % 0.5)
    x = np.linspace(0, 1, 64, dtype=np.float32)
    ramp = np.broadcast_to(x[None, :, None], (64, 64, 3)).copy()
    shared = replace(shared, surface=replace(mesh.surface, metallic_roughness=ramp, emissive=None))
    painted, report = painted_mesh(texture_scene(shared, SMALL), UVConfig(size=128))
    assert report["uv"].startswith("unwrapped") and NO_NORMALS in report["warnings"]
    kept = painted.surface
    assert kept.normal_map is None and kept.tangents is None and kept.normals.shape == painted.vertices.shape
    # at the middle of faces that lie in one half, the new map says what the old one did
    old = shared.uvs[shared.faces]
    whole = (np.ptp(old, axis=1) < 0.2).all(-1)
    size = kept.metallic_roughness.shape[0]
    at = (painted.uvs[painted.faces].mean(1) * size).astype(int).clip(0, size - 1)
    corner = {tuple(np.round(p, 4)): i for i, p in enumerate(shared.vertices[shared.faces].mean(1))}
    same_face = [corner[tuple(np.round(p, 4))] for p in painted.vertices[painted.faces].mean(1)]
    found, expected = kept.metallic_roughness[at[:, 1], at[:, 0], 0], old.mean(1)[same_face, 0]
    assert np.median(np.abs(found - expected)[whole[same_face]]) < 0.03


def read_glb(data: bytes) -> tuple[dict, bytes]:
    n = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + n]), data[28 + n :]


def test_a_glb_has_it_all_bit_for_bit(mesh, tmp_path):
    painted, _ = painted_mesh(texture_scene(mesh, SMALL), UVConfig(size=32))
    document, body = read_glb(write_mesh(painted, tmp_path / "a.glb").read_bytes())
    material = document["materials"][0]
    from PIL import Image

    def picture(reference: dict) -> np.ndarray:
        image = document["images"][document["textures"][reference["index"]]["source"]]
        view = document["bufferViews"][image["bufferView"]]
        start = view["byteOffset"]
        return np.asarray(Image.open(io.BytesIO(body[start : start + view["byteLength"]])), np.float32) / 255

    pbr = material["pbrMetallicRoughness"]
    assert np.array_equal(picture(pbr["metallicRoughnessTexture"]), mesh.surface.metallic_roughness)
    assert np.array_equal(picture(material["normalTexture"]), mesh.surface.normal_map)
    assert np.array_equal(picture(material["emissiveTexture"]), mesh.surface.emissive)
    assert material["occlusionTexture"]["index"] == pbr["metallicRoughnessTexture"]["index"]
    assert (pbr["roughnessFactor"], pbr["metallicFactor"], material["doubleSided"]) == (0.25, 1.0, False)
    assert material["extensions"] == {"KHR_materials_emissive_strength": {"emissiveStrength": 3.0}}
    assert document["extensionsUsed"] == ["KHR_materials_emissive_strength"]
    primitive = document["meshes"][0]["primitives"][0]["attributes"]
    for name, expected in (("NORMAL", mesh.surface.normals), ("TANGENT", mesh.surface.tangents)):
        accessor = document["accessors"][primitive[name]]
        start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
        stored = np.frombuffer(body, "<f4", expected.size, start).reshape(expected.shape)
        assert np.array_equal(stored, expected)
    assert trimesh.load(tmp_path / "a.glb", force="mesh", process=False).visual.material.roughnessFactor == 0.25


def test_the_surface_of_a_field_is_unlit_for_it_has_its_light():
    class Ball(NeRFScene):
        def density(self, points):
            return 50 * (points.norm(dim=-1) < 0.5)

        def albedo(self, points):
            return torch.full_like(points, 0.5)

    mesh, _ = textured_mesh(Ball(NeRFConfig(resolutions=(5,), n_samples=8)), ExportConfig(texture=0, faces=200))
    assert mesh.unlit


def test_wrong_sizes_are_refused(mesh):
    with pytest.raises(ValueError, match="tangents must be"):
        replace(mesh, surface=replace(mesh.surface, tangents=mesh.surface.normals))
    with pytest.raises(ValueError, match="emissive must be"):
        replace(mesh, surface=replace(mesh.surface, emissive=np.zeros((4, 4))))
    with pytest.raises(ValueError, match="not plain data"):
        texture_scene(replace(mesh, surface=replace(mesh.surface, factors={"a": np.zeros(2)})), SMALL)
